"""Demo data: the same bytes for the same seed, whole or not at all, and never in place of a user's files."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops.data import demo_dataset, open_dataset
from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.data.demo.demo_data import MARKER, SYSTEMS
from mlops.errors import BadSetting, DataFault
from mlops.systems.loading import list_systems, load_system
from tests.command import Shell

DETECTORS = sorted(set(SYSTEMS) - {"blood-cell-classifier"})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every system's demo data in its tiny size."""
    home = tmp_path_factory.mktemp("demo")
    return {system: demo_dataset(system, home / system, size="tiny") for system in SYSTEMS}


def fingerprint(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def test_every_system_has_demo_data() -> None:
    assert set(SYSTEMS) == set(list_systems())


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_the_classes_are_the_systems_own(tiny: dict[str, Path], system: str) -> None:
    assert tuple(json.loads((tiny[system] / MARKER).read_text())["classes"]) == load_system(system).classes


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    tiny: dict[str, Path], system: str, tmp_path: Path
) -> None:
    again = demo_dataset(system, tmp_path / "again", size="tiny")
    other = demo_dataset(system, tmp_path / "other", seed=1, size="tiny")
    assert fingerprint(again) == fingerprint(tiny[system])
    assert fingerprint(other) != fingerprint(tiny[system])


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_training_can_open_it_and_knows_it_for_demo_data(
    tiny: dict[str, Path], system: str, tmp_path: Path
) -> None:
    spec = load_system(system)
    dataset = open_dataset([str(tiny[system])], spec.task, cache=tmp_path)
    assert dataset.identity.demo
    assert dataset.classes == spec.classes
    assert set(dataset.splits) == {"train", "val", "test"}
    if isinstance(dataset, ClassificationDataset):
        for images in dataset.splits.values():
            assert set(images.labels) == set(range(len(spec.classes)))


@pytest.mark.parametrize("system", DETECTORS)
def test_boxes_lie_inside_and_some_pictures_are_background(
    tiny: dict[str, Path], system: str, tmp_path: Path
) -> None:
    dataset = open_dataset([str(tiny[system])], load_system(system).task, cache=tmp_path)
    assert isinstance(dataset, DetectionDataset)
    pictures = [picture for own in dataset.splits.values() for picture in own]
    assert any(not picture.boxes for picture in pictures)
    for box in (box for picture in pictures for box in picture.boxes):
        assert box.x - box.width / 2 + 1e-6 >= 0
        assert box.x + box.width / 2 <= 1 + 1e-6
        assert box.width > 0.02
        assert box.height > 0.02


@pytest.mark.parametrize("system", ["oct-detector", "xray-detector"])
def test_lesions_and_fractures_have_outlines(tiny: dict[str, Path], system: str, tmp_path: Path) -> None:
    dataset = open_dataset([str(tiny[system])], "detection", cache=tmp_path)
    assert isinstance(dataset, DetectionDataset)
    boxes = [box for picture in dataset.splits["train"] for box in picture.boxes]
    assert boxes
    assert all(len(box.polygon) > 8 for box in boxes)


def test_joint_frames_have_a_label_each(tiny: dict[str, Path]) -> None:
    folder = tiny["joint-detector"]
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["label"] for row in rows} == {"normal", "calcified", "suspicious"}
    assert {row["image"] for row in rows} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    }
    for row in rows:
        label = folder / row["image"].replace("images", "labels").replace(".png", ".txt")
        assert bool(label.read_text()) == (row["label"] == "suspicious")


def test_cells_cannot_be_told_by_their_colour_alone(tiny: dict[str, Path]) -> None:
    """A guess by the nearest mean colour stays far below what a network reaches."""
    with np.load(tiny["blood-cell-classifier"] / "blood_cells.npz") as cells:
        means = {split: cells[f"{split}_images"].mean(axis=(1, 2)) for split in ("train", "test")}
        labels = {split: cells[f"{split}_labels"][:, 0] for split in ("train", "test")}
    centres = np.stack([means["train"][labels["train"] == k].mean(axis=0) for k in range(8)])
    guess = np.linalg.norm(means["test"][:, None] - centres[None], axis=2).argmin(axis=1)
    assert (guess == labels["test"]).mean() < 0.5


def test_pictures_differ_from_each_other(tiny: dict[str, Path]) -> None:
    for system in DETECTORS:
        pictures = [Image.open(path).tobytes() for path in sorted(tiny[system].rglob("*.png"))]
        assert len(set(pictures)) == len(pictures)


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    folder = demo_dataset("railway-detector", tmp_path / "rail", size="tiny")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    demo_dataset("railway-detector", tmp_path / "rail", size="tiny")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_incomplete_or_other_demo_data_is_replaced(tmp_path: Path) -> None:
    folder = demo_dataset("railway-detector", tmp_path / "rail", size="tiny")
    whole = fingerprint(folder)
    next(folder.rglob("*.png")).unlink()
    assert fingerprint(demo_dataset("railway-detector", folder, size="tiny")) == whole
    demo_dataset("railway-detector", folder, seed=3, size="tiny")
    assert json.loads((folder / MARKER).read_text())["seed"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["rail"]


def test_a_folder_with_a_users_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(DataFault, match=r"thesis\.txt"):
        demo_dataset("railway-detector", mine, size="tiny")
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]

    folder = demo_dataset("railway-detector", tmp_path / "rail", size="tiny")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DataFault, match=r"notes\.txt"):
        demo_dataset("railway-detector", folder, seed=1, size="tiny")


def test_an_unknown_system_or_size_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="railway-detector"):
        demo_dataset("cat-detector", tmp_path / "x")
    with pytest.raises(BadSetting, match="tiny"):
        demo_dataset("railway-detector", tmp_path / "x", size="huge")  # type: ignore[arg-type]


def test_the_command_writes_it_and_refuses_in_one_line(shell: Shell) -> None:
    out = shell.succeed(
        "data", "demo", "railway-detector", "--out", "rail", "--seed", "7", "--size", "tiny", "--json"
    )
    assert json.loads(out)["seed"] == 7
    assert (shell.folder / "rail" / "data.yaml").is_file()
    (shell.folder / "rail" / "mine.txt").touch()
    refused = shell.run("data", "demo", "oct-detector", "--out", "rail", "--size", "tiny")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
