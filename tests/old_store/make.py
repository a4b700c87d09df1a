"""Make the old store anew, by the commands that a user gave to the version that is installed here.

    python tests/old_store/make.py /srv/old-store

writes `store.tar.xz` and `recorded.json` beside this file. See README.md.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
ADDRESS = ("127.0.0.1", 21753)  # a study goes on only in the store that it was begun in
STORE = f"http://{ADDRESS[0]}:{ADDRESS[1]}"
COPIED = ("systems", "policies", "keys")
SHAPES, MARKS = ("disc", "square", "cross"), ("bright", "dark")
SPLITS = {"train": 8, "val": 4, "test": 6}  # pictures of each shape; and, times three, of marks
DRAWN = (".png", ".jpg", ".html")  # plots, which no command reads


def main(root: Path) -> None:
    """Draw the data, give the commands, and write the archive and `recorded.json`."""
    if root.exists():
        sys.exit(f"{root} is there already")
    root.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(HERE / name, root / name)
    draw_shapes(root / "data" / "shapes", random.Random(1))
    draw_marks(root / "data" / "marks", random.Random(2))
    with server(root):
        versions_of_shapes(root)
        versions_of_marks(root)
        release(root, "shape-sorter", {"rita": "rita", "ann": "ann"})
        release(root, "mark-finder", {"rita": "team", "ann": "team"})
        process = begin(root, train("shape-sorter", "shapes", "shape-search", "epochs=6"))
        wait_for_epochs(root, "shape-search", 3)
        kill(process)
    with server(root) as running:
        process = begin(root, train("mark-finder", "marks", "mark-search", "epochs=30", "space.scale=none"))
        wait_until_delivered(root, "mark-search")
        stop(running)  # what comes after stays in the outbox
        wait_for_epochs(root, "mark-search", 3 + epochs_done(root, "mark-search"))
        kill(process)
    thin_out(root)
    write_record(root, HERE / "recorded.json")
    pack(root, HERE / "store.tar.xz")


# pictures


def draw_shapes(folder: Path, chance: random.Random) -> None:
    """Folders of classes, 32 pixels a side."""
    for split, count in SPLITS.items():
        for shape in SHAPES:
            for number in range(count):
                file = folder / split / shape / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                ground, ink = chance.randrange(40, 110), chance.randrange(150, 250)
                picture = Image.new("RGB", (32, 32), (ground, ground, ground + 20))
                pen, size = ImageDraw.Draw(picture), chance.randrange(14, 24)
                left, top = chance.randrange(2, 30 - size), chance.randrange(2, 30 - size)
                box = (left, top, left + size, top + size)
                colour = (
                    (ink, 30, 30)
                    if shape == "disc"
                    else (30, ink, 30)
                    if shape == "square"
                    else (30, 30, ink)
                )
                if shape == "disc":
                    pen.ellipse(box, fill=colour)
                elif shape == "square":
                    pen.rectangle(box, fill=colour)
                else:
                    pen.line(box, fill=colour, width=4)
                    pen.line((left + size, top, left, top + size), fill=colour, width=4)
                picture.save(file, optimize=True)


def draw_marks(folder: Path, chance: random.Random) -> None:
    """A YOLO data set, 64 pixels a side, one or two marks a picture."""
    for split, count in SPLITS.items():
        for number in range(3 * count):
            picture = Image.new("RGB", (64, 64), (chance.randrange(110, 140),) * 3)
            pen, rows = ImageDraw.Draw(picture), []
            for half in chance.sample((0, 32), chance.randrange(1, 3)):
                size, kind = chance.randrange(14, 24), chance.randrange(2)
                left, top = half + chance.randrange(0, 32 - size), chance.randrange(2, 62 - size)
                pen.rectangle(
                    (left, top, left + size - 1, top + size - 1), fill=((240,) * 3, (15,) * 3)[kind]
                )
                middle = ((left + size / 2) / 64, (top + size / 2) / 64)
                rows.append(f"{kind} {middle[0]:.6f} {middle[1]:.6f} {size / 64:.6f} {size / 64:.6f}")
            for kind, name in (("images", f"{number}.png"), ("labels", f"{number}.txt")):
                file = folder / kind / split / name
                file.parent.mkdir(parents=True, exist_ok=True)
                if kind == "images":
                    picture.save(file, optimize=True)
                else:
                    file.write_text("\n".join(rows) + "\n")
    splits = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(MARKS))
    (folder / "data.yaml").write_text(f"path: .\n{splits}names:\n{names}")


# commands


def environment(root: Path, who: str, key: str = "") -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_"))}
    kept |= {"MLFLOW_TRACKING_URI": STORE, "MLOPS_USER": who, "OMP_NUM_THREADS": "2"}
    return kept | ({"MLOPS_SIGNING_KEY": f"keys/throw-away-test-key-{key}.pem"} if key else {})


def begin(root: Path, arguments: list[str], who: str = "tom", key: str = "") -> subprocess.Popen[bytes]:
    sys.stderr.write(f"$ mlops {' '.join(arguments)}\n")
    command = str(Path(sys.executable).with_name("mlops"))
    return subprocess.Popen([command, *arguments], cwd=root, env=environment(root, who, key))


def mlops(root: Path, *arguments: str, who: str = "tom", key: str = "") -> None:
    process = begin(root, list(arguments), who, key)
    if process.wait() != 0:
        sys.exit(f"mlops {' '.join(arguments)} left with {process.returncode}")


@contextmanager
def server(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`mlops server` over the store."""
    command = ["server", "--host", ADDRESS[0], "--port", str(ADDRESS[1])]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_"))}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("mlops")), *command],
        cwd=root,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    if process.stdout.readline().decode().strip() != STORE:
        sys.exit("the server did not start")
    try:
        yield process
    finally:
        stop(process)


def train(system: str, data: str, study: str, *settings: str, trials: int = 2) -> list[str]:
    """The command that begins the interrupted studies, and goes on with them."""
    given = [part for setting in settings for part in ("--set", setting)]
    data = f"data/{data}/data.yaml" if data == "marks" else f"data/{data}"
    command = ["train", f"systems/{system}.yaml", "--data", data, "--study", study, *given]
    return [*command, "--trials", str(trials)]


def versions_of_shapes(root: Path) -> None:
    mlops(root, *train("shape-sorter", "shapes", "first-shapes", "variant=all-layers", trials=1))
    mlops(root, *train("shape-sorter", "shapes", "second-shapes", "lr=0.05", "epochs=4", trials=1))


def versions_of_marks(root: Path) -> None:
    mlops(root, *train("mark-finder", "marks", "first-marks", "epochs=15", trials=1))
    mlops(root, *train("mark-finder", "marks", "second-marks", trials=1))


def release(root: Path, model: str, keys: dict[str, str]) -> None:
    """Both versions to Production, one after the other, and back to the first."""
    policy = ("--policy", f"policies/{model}.yaml")
    for version in ("1", "2"):
        mlops(root, "registry", "measure", model, version, "--calls", "20")
        bundle = ("--precision", "fp32,int8") if model == "shape-sorter" else ()
        mlops(
            root,
            "export",
            f"{model}/{version}",
            *bundle,
            "--calls",
            "5",
            "--out",
            f"bundles/{model}-{version}",
        )
        why = ("--why", f"version {version} is to be tried")
        by_rita, by_ann = {"who": "rita", "key": keys["rita"]}, {"who": "ann", "key": keys["ann"]}
        mlops(root, "registry", "promote", model, version, "--to", "staging", *why, *policy, **by_rita)
        looked = ("--comment", "looked at the errors")
        mlops(root, "registry", "approve", model, version, *looked, *policy, **by_ann)
        mlops(root, "registry", "promote", model, version, "--to", "production", *policy, **by_rita)
    back = ("--why", "the second is worse on site")
    mlops(root, "registry", "rollback", model, *back, *policy, **by_rita)
    mlops(root, "registry", "verify", model, *policy)


# interruptions


def wait_for_epochs(root: Path, study: str, epochs: int) -> None:
    """Until the second trial has done so many."""
    while epochs_done(root, study) < epochs:
        time.sleep(0.01)


def epochs_done(root: Path, study: str) -> int:
    """Of the second trial."""
    try:
        record = (root / ".mlops" / "studies" / study / "trial-001" / "training.json").read_text()
        return len(json.loads(record)["epochs"])
    except (FileNotFoundError, ValueError):
        return 0


def wait_until_delivered(root: Path, study: str) -> None:
    """Until the server has an epoch of the second trial."""
    outbox = sqlite3.connect(root / ".mlops" / "outbox.db", timeout=60)
    asked = (
        "SELECT count(*) FROM entries JOIN runs ON runs.id = entries.run"
        " WHERE runs.key LIKE ? AND entries.kind = 'metrics' AND entries.state = 1"
    )
    while not outbox.execute(asked, (f"{study}@%/trial-001",)).fetchone()[0]:
        time.sleep(0.05)
    outbox.close()


def stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    server.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """As a power cut ends it."""
    process.kill()
    process.wait()


# what a test holds later versions to


def write_record(root: Path, file: Path) -> None:
    """The versions' figures, and each search's runs with two curves of theirs as far as they came."""
    with sqlite3.connect(f"file:{root}/mlflow.db?mode=ro", uri=True) as store:
        rows = store.execute(
            "SELECT v.name || '/' || v.version, m.key, m.value FROM model_versions v"
            " JOIN latest_metrics m ON m.run_uuid = v.run_id WHERE m.key LIKE 'test/%' ORDER BY 1, 2"
        ).fetchall()
    versions: dict[str, dict[str, float]] = {}
    for version, metric, value in rows:
        versions.setdefault(version, {})[metric] = value
    watched = {"shape-search": ("val/macro_f1", "train/loss"), "mark-search": ("val/mAP50", "train/box_loss")}
    studies = {
        study: {"runs": runs_of(root, study), "curves": curves_of(root, study, metrics)}
        for study, metrics in watched.items()
    }
    file.write_text(json.dumps({"versions": versions, "studies": studies}, indent=1) + "\n")


def runs_of(root: Path, study: str) -> dict[str, str]:
    """Of a copy: whoever opens an outbox and closes it clears its log away."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (root / ".mlops").glob("outbox.db*"):
            shutil.copy(part, folder)
        outbox = sqlite3.connect(Path(folder) / "outbox.db")
        found = outbox.execute("SELECT key, mlflow_id FROM runs WHERE key LIKE ?", (f"{study}@%",)).fetchall()
        outbox.close()
    return {key.partition("/")[2] or "study": run_id for key, run_id in found}


def curves_of(root: Path, study: str, metrics: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Of both trials: the values of epochs 1, 2, ..."""
    curves = {}
    for trial in ("trial-000", "trial-001"):
        record = json.loads((root / ".mlops" / "studies" / study / trial / "training.json").read_text())
        curves[trial] = {name: [done["metrics"][name] for done in record["epochs"]] for name in metrics}
    return curves


# the archive


def thin_out(root: Path) -> None:
    """Take out what is made anew, and drawings, which are large and which no command reads."""
    shutil.rmtree(root / ".mlops" / "cache", ignore_errors=True)
    shutil.rmtree(root / "bundles" / "shape-sorter-2")
    shutil.rmtree(root / "bundles" / "mark-finder-2")
    for tree in (root / ".mlops", root / "mlartifacts"):
        for file in tree.rglob("*"):
            if file.suffix in DRAWN:
                file.unlink()
    for log in root.rglob("server.log"):
        log.unlink()


def pack(root: Path, archive: Path) -> None:
    """In one order and under nobody's name."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for file in sorted(root.rglob("*")):
            if file.relative_to(root).parts[0] not in COPIED:
                packed.add(file, file.relative_to(root).as_posix(), recursive=False, filter=anonymous)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
