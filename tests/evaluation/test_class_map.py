"""Data that were renamed by a class map in training: the run knows the map, and nobody gives it again."""

from __future__ import annotations

import json

import pytest
from mlflow import MlflowClient

from tests.command import Shell, tiny
from tests.data.sets import class_folders

pytestmark = pytest.mark.slow
_MAP = "one: {kitten: cat, dog: dog}\ntwo: {CAT: cat, dog: dog, RBC: null}\n"


def test_a_version_is_measured_and_exported_without_giving_the_class_map_again(shell: Shell) -> None:
    sizes = {"train": 8, "val": 2, "test": 2}
    class_folders(shell.folder / "one", ("kitten", "dog"), sizes)
    class_folders(shell.folder / "two", ("CAT", "dog", "RBC"), sizes)
    file = shell.folder / "map.yaml"
    file.write_text(_MAP)
    given = ["--data", "one", "--data", "two", "--class-map", str(file), *tiny("epochs=1", "batch=8")]
    shell.succeed("train", "blood-cell-classifier", *given)
    file.unlink()

    told = json.loads(shell.succeed("evaluate", "blood-cell-classifier", "--again", "--json"))
    assert told["pictures"] == 8 and "test/accuracy" in told["metrics"], "their own data, not others"
    run = MlflowClient(shell.store).get_run(told["run_id"])
    recorded = json.loads(run.inputs.dataset_inputs[0].dataset.profile)["class_map"]
    assert recorded == {
        "one": {"kitten": "cat", "dog": "dog"},
        "two": {"CAT": "cat", "dog": "dog", "RBC": None},
    }

    shell.succeed("export", "blood-cell-classifier", "--out", "bundle", "--pictures", "8", "--calls", "5")
    assert (shell.folder / "bundle").is_dir()
