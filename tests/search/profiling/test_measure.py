"""`mlops train --profile` on a real, small training."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from mlops.search.profiling.advice import RECIPE, SettingsVariant
from mlops.search.profiling.profile_training import measure
from mlops.search.request import StudyRequest
from mlops.systems import configure, load_system
from tests.command import TINY, Shell, tiny

pytestmark = pytest.mark.slow


def test_the_recipe_is_measured_and_nothing_is_left_behind(shell: Shell, tiny_cells: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("mlops-profile-*"))
    given = ["train", "--profile", "--profile-budget", "10", "--data", str(tiny_cells), *tiny("batch=8")]
    profile = json.loads(shell.succeed(*given, "--json"))
    first = profile["measured"][0]
    assert first["variant"]["kind"] == "recipe"
    assert first["images_per_s"] > 0 and first["memory_bytes"] > 10**8
    assert profile["device"] == "cpu" and {m["variant"]["kind"] for m in profile["measured"]} >= {"batch"}
    assert list(shell.folder.iterdir()) == []
    assert set(Path(tempfile.gettempdir()).glob("mlops-profile-*")) <= before


def test_a_joint_training_is_measured_with_its_balance(tmp_path: Path) -> None:
    """Ultralytics' loop and both losses, on a data set that `probe` has cut to whole batches."""
    from mlops.data import demo_dataset

    frames = demo_dataset("joint-detector", tmp_path / "frames", size="tiny")
    small = ("model=yolov5n", "weights=none", "image_size=64", "batch=2", "nbs=2", "workers=0", "amp=false")
    request = StudyRequest(
        spec=configure(load_system("joint-detector"), small, demo=True),
        data=(str(frames),),
        home=tmp_path / "home",
        tracking_uri="sqlite:///x",
        device="cpu",
    )
    (tmp_path / "request.json").write_text(request.model_dump_json())
    told = measure(RECIPE, tmp_path, limit_s=120, wanted_s=0.1)
    assert (told.images_per_s or 0) > 0, told.says


def test_a_variant_that_cannot_train_is_told_and_hurts_no_other(tmp_path: Path, tiny_cells: Path) -> None:
    spec = configure(load_system("blood-cell-classifier"), [*TINY, "batch=8"])
    request = StudyRequest(
        spec=spec, data=(str(tiny_cells),), home=tmp_path / "home", tracking_uri="sqlite:///x", device="cpu"
    )
    (tmp_path / "request.json").write_text(request.model_dump_json())
    bad = measure(
        SettingsVariant("recipe", {"model": "no_such_network"}), tmp_path, limit_s=120, wanted_s=0.1
    )
    good = measure(RECIPE, tmp_path, limit_s=120, wanted_s=0.1)
    assert bad.images_per_s is None and "no_such_network" in bad.says
    assert (good.images_per_s or 0) > 0
    assert measure(RECIPE, tmp_path, limit_s=0.5, wanted_s=0.1).says.startswith("not measured")
