"""`mlflow models serve` of a version in Production: a picture's bytes in, the ONNX file's answer out."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from mlops.prediction.onnx_model import open_onnx
from mlops.store.client import connect
from mlops.tracking import Tracker
from registry.ledger.entry import Action, Stage
from registry.stages.lifecycle import Draft, record
from registry.stages.model_state import begin
from registry.stages.verify import verify
from tests.command import Shell
from tests.prediction.served_models import classifier, detector, picture, saved
from tests.registry.shelves import open_policy

pytestmark = pytest.mark.slow

JPEG, PNG = picture((20, 30, 200)), picture((220, 30, 40), kind="PNG")


@dataclass(frozen=True)
class Served:
    """A served version: where it answers, its store, and its own files."""

    url: str
    store: str
    model: str
    folder: Path

    def ask(self, body: dict[str, Any]) -> requests.Response:
        return requests.post(f"{self.url}/invocations", json=body, timeout=60)


@pytest.fixture(scope="module", params=[classifier, detector], ids=["classifier", "detector"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A version that the ledger took to Production, served by its alias."""
    here = tmp_path_factory.mktemp("served")
    shell, name = Shell(here), f"{request.param.__name__}-served"
    folder = saved(request.param(here), here / "made")
    with Tracker(here / "home", shell.store, deliver=False) as tracker:
        tracker.start_run("r", experiment="e", name="n").log_model(folder, "model", register_as=name)
        assert tracker.sync(60).left == 0
    record(begin(connect(shell.store), name, open_policy(name)), Draft(Action.PROMOTE, "1", Stage.PRODUCTION))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    beside = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    )
    environment = {**shell.environment, "MLFLOW_TRACKING_URI": shell.store, "PATH": beside}
    command = ["-m", "mlflow", "models", "serve", "-m", f"models:/{name}@production", "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, *command, "--env-manager", "local"],
        cwd=here,
        env=environment,
        start_new_session=True,
        stdout=(here / "log").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{url}/ping", process, here / "log")
        yield Served(url, shell.store, name, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_it_answers(
    url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 180
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=5).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def test_a_pictures_bytes_are_answered_as_the_onnx_file_answers(served: Served) -> None:
    texts = [base64.b64encode(each).decode() for each in (JPEG, PNG)]
    direct = open_onnx(served.folder / "model.onnx")
    bodies = (
        {"dataframe_records": [{"image": text} for text in texts]},
        {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}},
        {"inputs": {"image": texts}},
        {"instances": [{"image": text} for text in texts]},
    )
    for body in bodies:
        answer = served.ask(body)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        if direct.has_probabilities:
            expected = direct.probabilities([JPEG, PNG]).astype(float)
            assert [list(row["probabilities"].values()) for row in rows] == expected.tolist()
            assert [row["class"] for row in rows] == ["blue", "red"]
        else:
            [found, _] = direct.boxes([JPEG, PNG])
            assert rows[0]["boxes"] == found.corners.astype(float).tolist()
            assert (rows[0]["scores"], rows[0]["classes"]) == (found.score.astype(float).tolist(), ["bar"])


def test_a_threshold_may_be_sent_along(served: Served) -> None:
    text = base64.b64encode(JPEG).decode()
    answer = served.ask({"dataframe_records": [{"image": text}], "params": {"score": 0.1}})
    [row] = answer.json()["predictions"]
    assert row.get("classes", ["bar", "square"]) == ["bar", "square"]


def test_what_is_no_picture_is_the_callers_mistake_and_the_next_is_answered(served: Served) -> None:
    good, bad = (base64.b64encode(each).decode() for each in (JPEG, b"\xff\xd8 no picture"))
    refused = served.ask({"dataframe_records": [{"image": good}, {"image": bad}]})
    assert refused.status_code == 400
    assert "image of row 1" in refused.text
    assert served.ask({"dataframe_records": [{"image": good}]}).status_code == 200


def test_serving_leaves_the_versions_files_as_they_were(served: Served) -> None:
    client = connect(served.store)
    assert verify(client, served.model).well
