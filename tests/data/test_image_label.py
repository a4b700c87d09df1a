"""Where a picture's own class comes from, and what is said where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlops.data import check_dataset, open_dataset
from mlops.data.dataset import DetectionDataset
from mlops.errors import BadSetting, DataFault
from tests.command import Shell
from tests.data.sets import picture

ROWS = {
    "train/a.png": "0 0.3 0.3 0.4 0.4\n1 0.7 0.7 0.1 0.1\n",
    "train/b.png": "1 0.5 0.5 0.6 0.6\n",
    "train/c.png": "",
    "val/a.png": "0 0.5 0.5 0.5 0.5\n",
    "val/d.png": "",
}
LABELS = dict(zip(ROWS, ("ill", "well", "well", "ill", "well"), strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A YOLO set with cats (0) and dogs (1), one name in two splits, and a table of every picture's label."""
    root = tmp_path / "set"
    for number, (name, rows) in enumerate(ROWS.items()):
        picture(root / "images" / name, number)
        label = (root / "labels" / name).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(rows)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    write_table(root, [f"images/{name},{label}" for name, label in LABELS.items()])
    return root


def write_table(
    root: Path, rows: Sequence[str], header: str = "image,label", name: str = "labels.csv"
) -> None:
    (root / name).write_text("\n".join([header, *rows]) + "\n")


def opened(root: Path, image_label: str = "labels.csv") -> DetectionDataset:
    dataset = open_dataset([str(root)], "joint", cache=root.parent / "cache", image_label=image_label)
    assert isinstance(dataset, DetectionDataset)
    return dataset


def labels(dataset: DetectionDataset) -> dict[str, str]:
    return {
        f"{split}/{each.image.name}": dataset.image_classes[each.image_class]
        for split, pictures in dataset.splits.items()
        for each in pictures
    }


def test_a_table_beside_the_data_names_every_pictures_class(folder: Path) -> None:
    dataset = opened(folder)
    assert dataset.image_classes == ("ill", "well")
    assert dataset.classes == ("cat", "dog")
    assert labels(dataset) == LABELS


def test_a_table_may_lie_elsewhere_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    rows = [f"{folder / 'images' / name};{label}" for name, label in LABELS.items()]
    write_table(tmp_path, rows, header="Path;Diagnosis", name="reader2.csv")
    assert labels(opened(folder, str(tmp_path / "reader2.csv"))) == LABELS


@pytest.mark.parametrize(
    ("rule", "classes", "found"),
    [
        ("present:dog", ("no dog", "dog"), ["dog", "dog", "no dog", "no dog", "no dog"]),
        ("largest", ("none", "cat", "dog"), ["cat", "dog", "none", "cat", "none"]),
    ],
)
def test_labels_are_derived_from_boxes_by_the_stated_rule(
    folder: Path, rule: str, classes: tuple[str, ...], found: list[str]
) -> None:
    (folder / "labels.csv").unlink()
    dataset = opened(folder, rule)
    assert dataset.image_classes == classes
    assert labels(dataset) == dict(zip(ROWS, found, strict=True))


def test_a_folders_name_is_the_class_of_what_lies_in_it(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, (split, name) in enumerate((split, name) for split in ("train", "val") for name in "pq"):
        picture(root / "images" / split / name / f"{number}.png", number)
        label = root / "labels" / split / name / f"{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cell]\n")
    assert opened(root, "folder").image_classes == ("p", "q")


def test_the_table_is_part_of_what_is_trained_on(folder: Path) -> None:
    before = opened(folder).identity.digest
    assert opened(folder).identity.digest == before
    write_table(folder, [f"images/{name},{label.replace('ill', 'sick')}" for name, label in LABELS.items()])
    assert opened(folder).identity.digest != before
    plain = open_dataset([str(folder)], "detection", cache=folder.parent / "cache").identity.digest
    assert plain != before, "a detector's training does not read the table"


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        (list(LABELS.items())[1:], "missing-image-label", "labels.csv has no label for this image"),
        ([*LABELS.items(), ("train/z.png", "ill")], "orphan-image-label", "is not an image of this data set"),
        ([*LABELS.items(), ("train/b.png", "ill")], "conflicting-label", "well in line 3"),
    ],
)
def test_what_is_wrong_with_a_table_is_listed(
    folder: Path, rows: list[tuple[str, str]], code: str, says: str
) -> None:
    write_table(folder, [f"images/{name},{label}" for name, label in rows])
    faults = check_dataset([str(folder)], "joint", cache=folder.parent / "cache", on_progress=lambda *_: None)
    [found] = [each for each in faults if each.code == code]
    assert says in found.says
    if found.severity == "error":
        with pytest.raises(DataFault) as caught:
            opened(folder)
        assert says in str(caught.value) and "\n" not in str(caught.value)
    else:
        assert labels(opened(folder)) == LABELS, "a label for no picture is told and left out"


def test_a_name_that_is_two_pictures_is_not_guessed(folder: Path) -> None:
    write_table(folder, [f"{name.rpartition('/')[2]},{label}" for name, label in LABELS.items()])
    with pytest.raises(DataFault, match=r"a\.png.*has no label for this image"):
        opened(folder)
    faults = check_dataset([str(folder)], "joint", cache=folder.parent / "cache", on_progress=lambda *_: None)
    assert any("'a.png' matches 2 images; write the path" in each.says for each in faults)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("other.csv", "no table of image labels at .*present:CLASS"),
        ("present:bird", "box class 'bird' is unknown; expected one of cat, dog"),
        ("folder", "which is not a class folder"),
    ],
)
def test_a_rule_that_the_data_cannot_answer_is_refused(folder: Path, rule: str, says: str) -> None:
    with pytest.raises(DataFault, match=says):
        opened(folder, rule)


def test_a_rule_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(BadSetting, match=r"image_label is 'maybe'; allowed: .*largest"):
        opened(folder, "maybe")


def test_one_class_for_all_is_nothing_to_learn(folder: Path) -> None:
    write_table(folder, [f"images/{name},ill" for name in LABELS])
    with pytest.raises(DataFault, match="every training image has the image class 'ill'"):
        opened(folder)


def test_the_command_checks_them(shell: Shell, folder: Path) -> None:
    (folder / "labels.csv").unlink()
    refused = shell.run("data", "check", str(folder), "--task", "joint")
    assert refused.returncode == 2 and "no table of image labels" in refused.stdout
    shell.succeed("data", "check", str(folder), "--image-label", "present:dog")
