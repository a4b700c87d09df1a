"""A store that an earlier version left: its versions, ledgers, bundles and interrupted studies go on working.

What is in it, and how it was made: `tests/old_store/README.md`. The tests follow one another over one copy.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.slow

KEPT = Path(__file__).resolve().parents[1] / "old_store"
RECORDED: Mapping[str, Any] = json.loads((KEPT / "recorded.json").read_text(encoding="utf-8"))
MADE_IN = "/srv/old-store"
HOST, PORT = "127.0.0.1", 21753  # those that the studies name: a study goes on only in its own store
STORE = f"http://{HOST}:{PORT}"
MLOPS = str(Path(sys.executable).with_name("mlops"))

MODELS = ("shape-sorter", "mark-finder")
DATA = {"shape-sorter": "data/shapes", "mark-finder": "data/marks/data.yaml"}
KEYS = {
    ("shape-sorter", "rita"): "rita",
    ("shape-sorter", "ann"): "ann",
    ("mark-finder", "rita"): "team",
    ("mark-finder", "ann"): "team",
}
LEDGER = [
    ("rita", "promote", "1", "Staging"),
    ("ann", "approve", "1", "Production"),
    ("rita", "promote", "1", "Production"),
    ("rita", "promote", "2", "Staging"),
    ("ann", "approve", "2", "Production"),
    ("rita", "promote", "2", "Production"),
    ("rita", "rollback", "1", "Production"),
]
OF_TRAIN = ("torch", "torchvision", "ultralytics", "timm", "lightning", "kornia", "safetensors", "plotly")
SERVED = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
pictures = pandas.DataFrame({"image": [open(file, "rb").read() for file in sys.argv[2:]]})
answers = json.loads(model.predict(pictures).to_json(orient="records"))
print(json.dumps({"answers": answers, "product": "mlops" in sys.modules}))
"""


@dataclass(frozen=True)
class OldStore:
    """The unpacked store, its folder the working directory of every command."""

    folder: Path

    def run(self, *arguments: str, who: str = "tom", key: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MLOPS, *arguments], cwd=self.folder, env=environment(who, key), capture_output=True, text=True
        )

    def succeed(self, *arguments: str, who: str = "tom", key: str = "") -> str:
        answer = self.run(*arguments, who=who, key=key)
        assert answer.returncode == 0, f"mlops {' '.join(arguments)}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def json(self, *arguments: str, who: str = "tom", key: str = "") -> Any:
        return json.loads(self.succeed(*arguments, "--json", who=who, key=key))

    def registry(self, command: str, model: str, *more: str, who: str = "tom") -> Any:
        """`mlops registry COMMAND MODEL ... --policy` with the user's own, signed by who may."""
        policy = ("--policy", f"policies/{model}.yaml")
        return self.json("registry", command, model, *more, *policy, who=who, key=KEYS.get((model, who), ""))


def environment(who: str = "tom", key: str = "") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "MLOPS_"))}
    kept |= {"MLFLOW_TRACKING_URI": STORE, "MLOPS_USER": who, "OMP_NUM_THREADS": "1"}
    return kept | ({"MLOPS_SIGNING_KEY": f"keys/throw-away-test-key-{key}.pem"} if key else {})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldStore]:
    folder = tmp_path_factory.mktemp("moved") / "store"
    unpack(folder)
    wait_for_the_port()
    kept = environment()
    del kept["MLFLOW_TRACKING_URI"]
    server = subprocess.Popen(
        [MLOPS, "server", "--host", HOST, "--port", str(PORT)],
        cwd=folder,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline().strip() == STORE
        yield OldStore(folder)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def unpack(folder: Path) -> None:
    """The archive and its user's files, the folder's name in the studies changed as who moves it has to."""
    folder.mkdir()
    with tarfile.open(KEPT / "store.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    for name in ("systems", "policies", "keys"):
        shutil.copytree(KEPT / name, folder / name)
    for journal in (folder / ".mlops" / "studies").glob("*/journal.log"):
        journal.write_text(journal.read_text().replace(f'"{MADE_IN}/', f'"{folder}/'))


def wait_for_the_port(timeout_s: float = 240) -> None:
    """Until no other run of these tests on this machine serves there."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with socket.socket() as asked:
            if asked.connect_ex((HOST, PORT)) != 0:
                return
        time.sleep(1)


def as_told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(entry["who"], entry["action"], entry["version"], entry["to_stage"]) for entry in entries]


def placed(store: OldStore, model: str) -> dict[str, str | None]:
    [found] = store.json("registry", "status", model)
    assert found["drift"] == ""
    return {stage: found[stage] and found[stage]["version"] for stage in ("production", "staging")}


def test_stages_ledgers_and_versions_are_as_they_were_left(store: OldStore) -> None:
    assert [found["model"] for found in store.json("registry", "status")] == sorted(MODELS)
    for model in MODELS:
        assert placed(store, model) == {"production": "1", "staging": None}
        told = store.registry("history", model)
        assert as_told(told["entries"]) == LEDGER
        assert told["uncounted"] == []
        assert [period["version"] for period in told["periods"]] == ["1", "2", "1"]
        verified = store.registry("verify", model)
        assert verified["faults"] == [] and len(verified["notes"]) == 2
        assert all("has no registration entry" in note for note in verified["notes"])
        assert (verified["entries"], verified["versions"]) == (7, 2) and verified["files"] > 20
    for version, figures in RECORDED["versions"].items():
        known = store.json("registry", "show", *version.split("/"))
        assert {name: known["metrics"][name] for name in figures} == pytest.approx(figures)
        assert known["stage"] == ("Production" if version.endswith("/1") else "Archived")
        assert known["trained_by"] == "tom"


def test_a_signature_of_nobody_who_is_listed_counts_for_nothing(store: OldStore) -> None:
    policy = (store.folder / "policies" / "mark-finder.yaml").read_text()
    other = (store.folder / "policies" / "shape-sorter.yaml").read_text().partition("- rita ")[2][:64]
    listed = policy.partition("signing_keys: [")[2][:64]
    (store.folder / "other.yaml").write_text(policy.replace(listed, other))
    told = store.json("registry", "history", "mark-finder", "--policy", "other.yaml")
    assert told["uncounted"] == list(range(1, 8)) and told["periods"] == []
    assert store.run("registry", "verify", "mark-finder", "--policy", "other.yaml").returncode == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_version_goes_back_to_production_and_is_rolled_back_again(store: OldStore, model: str) -> None:
    judged = store.registry("promote", model, "2", "--to", "staging", "--dry-run", who="rita")
    assert judged["entry"] is None
    assert {result["passed"] for result in judged["judged"]["results"]} == {True}

    moved = store.registry("promote", model, "2", "--to", "staging", "--why", "once more", who="rita")
    # so the dry run made none; the two versions are registered late, before the move
    assert moved["entry"]["sequence"] == 10
    assert placed(store, model) == {"production": "1", "staging": "2"}
    to_production = ("promote", model, "@staging", "--to", "production")
    policy = ("--policy", f"policies/{model}.yaml")
    refused = store.run("registry", *to_production, *policy, who="rita", key=KEYS[model, "rita"])
    assert refused.returncode == 3, refused.stderr
    assert "approvals" in refused.stderr and "1 of " in refused.stderr
    store.registry("approve", model, "@staging", "--comment", "it was the light", who="ann")
    assert store.registry(*to_production, who="rita")["replaced"] == "1"
    back = store.registry("rollback", model, "--why", "it was not", who="rita")
    assert (back["entry"]["version"], back["replaced"]) == ("1", "2")
    assert placed(store, model) == {"production": "1", "staging": None}

    assert as_told(store.registry("history", model)["entries"]) == [
        *LEDGER,
        ("rita", "register", "1", "None"),
        ("rita", "register", "2", "None"),
        ("rita", "promote", "2", "Staging"),
        ("ann", "approve", "2", "Production"),
        ("rita", "promote", "2", "Production"),
        ("rita", "rollback", "1", "Production"),
    ]
    verified = store.registry("verify", model)
    assert verified["faults"] == [] and verified["notes"] == [] and verified["entries"] == 13


@pytest.mark.parametrize(
    ("version", "again", "figures"),
    [
        ("shape-sorter/1", False, ("test/accuracy", "test/macro_f1")),
        ("mark-finder/2", True, ("test/mAP50", "test/mAP50-95")),
    ],
)
def test_an_evaluation_finds_the_figures_that_were_recorded(
    store: OldStore, version: str, again: bool, figures: tuple[str, ...]
) -> None:
    """From the table that the training left, or by asking the model's file anew."""
    how = ("--again", "--examples", "0") if again else ("--examples", "2")
    found = store.json("evaluate", version, "--data", DATA[version.split("/")[0]], *how)
    assert found["predicted"] == again and found["pictures"] == 18
    recorded = RECORDED["versions"][version]
    told = {figure: found["metrics"][figure] for figure in figures}
    assert told == pytest.approx({figure: recorded[figure] for figure in figures}, abs=1e-3)


@pytest.mark.parametrize(("model", "figure"), [("shape-sorter", "macro_f1"), ("mark-finder", "mAP50")])
def test_two_versions_are_compared_on_their_recorded_answers(
    store: OldStore, model: str, figure: str
) -> None:
    compared = store.json("compare", f"{model}/1", f"{model}/2", "--draws", "200")
    [found] = [each for each in compared["candidates"][0]["figures"] if each["figure"] == figure]
    was = [RECORDED["versions"][f"{model}/{version}"][f"test/{figure}"] for version in ("1", "2")]
    assert [found["baseline"], found["candidate"]] == pytest.approx(was, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_a_report_is_written_of_the_version_in_production(store: OldStore, model: str) -> None:
    out = store.folder / f"report-{model}"
    policy = ("--policy", f"policies/{model}.yaml")
    written = store.json("report", f"{model}@production", *policy, "--out", str(out))
    assert written["logged_to"] == written["run_id"]
    page = (out / "report.md").read_text()
    assert f"{model}" in page and "Success criteria" in page
    assert (out / "report.html").is_file() and list((out / "figures").glob("*.png"))


def test_old_bundles_are_as_they_were_written_and_new_ones_are_exported(store: OldStore) -> None:
    for model in MODELS:
        held = store.json("export", "--verify", f"bundles/{model}-1")
        assert (held["model"], held["version"], held["faults"]) == (model, "1", [])
        out = f"bundles/{model}-again"
        data = ("--data", DATA[model], "--calls", "5")
        made = store.json("export", f"{model}@production", *data, "--out", out)
        assert [file["status"] for file in made["certificate"]["files"]] == ["passed"]
        assert store.json("export", "--verify", out)["faults"] == []
        old, new = (store.folder / "bundles" / f"{model}-{which}" / "model.onnx" for which in ("1", "again"))
        assert old.read_bytes() == new.read_bytes()
    with (store.folder / "bundles" / "mark-finder-1" / "predict.py").open("a") as file:
        file.write("\n")
    changed = store.run("export", "--verify", "bundles/mark-finder-1")
    assert changed.returncode == 3 and "predict.py was changed" in changed.stderr


def test_an_old_version_is_served_by_the_code_that_it_carries(store: OldStore) -> None:
    pictures = sorted((store.folder / "data" / "shapes" / "test").glob("*/*.png"))
    served = answers(store, "models:/shape-sorter/2", pictures)
    right = [each["class"] == file.parent.name for each, file in zip(served, pictures, strict=True)]
    accuracy = RECORDED["versions"]["shape-sorter/2"]["test/accuracy"]
    assert sum(right) / len(right) == pytest.approx(accuracy)
    assert all(sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-4) for each in served)

    pictures = sorted((store.folder / "data" / "marks" / "images" / "test").glob("*.png"))
    served = answers(store, "models:/mark-finder/2", pictures)
    for each, file in zip(served, pictures, strict=True):
        rows = (store.folder / "data" / "marks" / "labels" / "test" / f"{file.stem}.txt").read_text()
        there = {("bright", "dark")[int(row.split()[0])] for row in rows.splitlines()}
        assert {c for c, s in zip(each["classes"], each["scores"], strict=True) if s > 0.4} <= there


def answers(store: OldStore, uri: str, pictures: list[Path]) -> list[dict[str, Any]]:
    """In a process that imports nothing of the product."""
    command = [sys.executable, "-c", SERVED, uri, *map(str, pictures)]
    said = subprocess.run(command, cwd=store.folder, env=environment(), capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout.splitlines()[-1])
    assert not told["product"]
    found: list[dict[str, Any]] = told["answers"]
    return found


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with all packages of this one, but for those of the extra `train`."""
    top = tmp_path_factory.mktemp("base")
    packages = top / "packages"
    packages.mkdir()
    for entry in Path(pytest.__file__).parents[1].iterdir():
        name = entry.name.lower().partition("-")[0].partition(".")[0]
        if name not in OF_TRAIN:
            (packages / entry.name).symlink_to(entry)
    venv.create(top / "env", with_pip=False)
    [own] = (top / "env").glob("lib/*/site-packages")
    (own / "others.pth").write_text(f"{KEPT.parents[1]}\n{packages}\n")
    return top / "env" / "bin" / "python"


@pytest.mark.parametrize("model", MODELS)
def test_an_installation_without_torch_measures_reports_and_exports(
    store: OldStore, without_torch: Path, model: str
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [without_torch, "-P", "-m", "mlops", *arguments],
            cwd=store.folder,
            env={name: value for name, value in environment().items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )

    for command in (
        ("evaluate", f"{model}/1", "--data", DATA[model], "--again", "--examples", "2"),
        ("compare", f"{model}/1", f"{model}/2"),
        ("report", f"{model}/1", "--out", f"reports/{model}-without-torch"),
        ("export", f"{model}/1", "--data", DATA[model], "--calls", "5", "--out", f"bundles/{model}-onnx"),
    ):
        answer = run(*command)
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    answer = run("train", f"systems/{model}.yaml", "--data", DATA[model])
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        "mlops: mlops train needs torch, which is not installed: pip install 'vision-mlops[train]'\n"
    )


@pytest.mark.parametrize(
    ("study", "command"),
    [
        ("shape-search", ("systems/shape-sorter.yaml", "data/shapes", "epochs=6")),
        (
            "mark-search",
            ("systems/mark-finder.yaml", "data/marks/data.yaml", "epochs=30", "space.scale=none"),
        ),
    ],
)
def test_an_interrupted_study_goes_on_in_its_own_runs(
    store: OldStore, study: str, command: tuple[str, ...]
) -> None:
    system, data, *settings = command
    recorded, client = RECORDED["studies"][study], MlflowClient(STORE)
    runs, before = recorded["runs"], recorded["curves"]
    model = Path(system).stem
    versions = len(client.search_model_versions(f"name = '{model}'"))
    given = [part for setting in settings for part in ("--set", setting)]
    outcome = store.json("train", system, "--data", data, "--study", study, *given, "--trials", "2")

    epochs = int(settings[0].removeprefix("epochs="))
    trials = outcome["trials"]
    assert [(trial["state"], trial["epochs"]) for trial in trials] == [("complete", epochs)] * 2
    assert outcome["run_id"] == runs["study"] and outcome["left"] == 0
    assert outcome["best_run_id"] == runs[f"trial-{outcome['best_trial']:03d}"]
    assert outcome["version"] == versions + 1
    for trial in ("trial-000", "trial-001"):
        assert client.get_run(runs[trial]).info.status == "FINISHED"
        for metric, values in before[trial].items():
            points = client.get_metric_history(runs[trial], metric)
            curve = sorted((point.step, point.value) for point in points)
            assert [step for step, _ in curve] == list(range(1, epochs + 1)), f"{trial} {metric}"
            assert [value for _, value in curve[: len(values)]] == pytest.approx(values)
    assert len(before["trial-000"]["train/loss" if study == "shape-search" else "train/box_loss"]) == epochs
    experiment = client.get_run(runs["study"]).info.experiment_id
    of_study = client.search_runs([experiment], f"tags.`mlops.study` = '{study}'")
    assert {run.info.run_id for run in of_study} == set(runs.values())
    registered = client.get_model_version(model, str(outcome["version"]))
    assert registered.run_id == outcome["best_run_id"]
