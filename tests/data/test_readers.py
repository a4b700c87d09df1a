"""Every format gives the same picture of the same data, whatever the annotator's tool wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlops.data import open_dataset
from mlops.data.dataset import ClassificationDataset, ClassificationSource, DetectionDataset
from mlops.data.readers import read_source
from mlops.errors import DataFault
from tests.data.sets import (
    SPLITS,
    class_folders,
    coco,
    labelimg_voc,
    labelimg_yolo,
    names,
    npz,
    state,
    table,
    voc,
    yolo,
)


def boxes(path: Path, cache: Path) -> DetectionDataset:
    opened = open_dataset([str(path)], "detection", cache=cache)
    assert isinstance(opened, DetectionDataset)
    return opened


def labels(path: Path, cache: Path) -> ClassificationDataset:
    opened = open_dataset([str(path)], "classification", cache=cache)
    assert isinstance(opened, ClassificationDataset)
    return opened


def sizes(dataset: DetectionDataset | ClassificationDataset) -> dict[str, int]:
    return {split: len(own) for split, own in dataset.splits.items()}


@pytest.mark.parametrize("maker", [labelimg_voc, labelimg_yolo, coco, voc])
def test_every_boxes_format_gives_the_same_boxes(maker: Callable[[Path], Path], tmp_path: Path) -> None:
    opened = boxes(maker(tmp_path / "set"), tmp_path / "cache")
    assert opened.classes == ("cat", "dog")
    assert sum(sizes(opened).values()) == len(names())
    for each in (each for own in opened.splits.values() for each in own):
        found = [(box.class_index, box.x, box.y, box.width, box.height) for box in each.boxes]
        assert found == [
            pytest.approx((0, 0.3, 0.3, 0.4, 0.4)),
            pytest.approx((1, 0.75, 0.625, 0.5, 0.75)),
        ]


def test_a_yolo_outline_keeps_its_shape_beside_its_box(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels/train/train0.txt").write_text("1 0.2 0.2 0.6 0.2 0.4 0.8\n")
    first = boxes(folder, tmp_path / "cache").splits["train"][0]
    (box,) = first.boxes
    assert (box.class_index, box.polygon) == (1, (0.2, 0.2, 0.6, 0.2, 0.4, 0.8))
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.4, 0.5, 0.4, 0.6))


def test_a_coco_outline_in_one_part_is_kept_and_crowds_are_left_out(tmp_path: Path) -> None:
    file = coco(tmp_path / "set") / "coco.json"
    fields = json.loads(file.read_text())
    first, second = fields["annotations"][:2]
    first["segmentation"] = [[6, 4, 36, 4, 6, 24]]
    second["iscrowd"] = 1
    file.write_text(json.dumps(fields))
    opened = boxes(file, tmp_path / "cache")
    of_first = next(
        each for own in opened.splits.values() for each in own if each.image.stem == names()[0]
    ).boxes
    assert [box.polygon for box in of_first] == [pytest.approx((0.1, 0.1, 0.6, 0.1, 0.1, 0.6))]


def test_an_empty_or_missing_yolo_label_is_background(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels/train/train0.txt").write_text("")
    (folder / "labels/train/train1.txt").unlink()
    train = boxes(folder, tmp_path / "cache").splits["train"]
    assert [len(each.boxes) for each in train] == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n",
        "path: /home/annotator/set\ntrain: images/train\nvalid: images/val\nnames: [cat, dog]\nnc: 2\n",
        "train: ../set/images/train\nval: ../set/images/val\nnames: [cat, dog]\n",
        "train: [images/train]\nval: val.txt\nnames: [cat, dog]\n",
    ],
)
def test_a_data_yaml_is_understood_wherever_it_was_written(yaml: str, tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "val.txt").write_text("".join(f"./images/val/val{index}.jpg\n" for index in range(3)))
    (folder / "data.yaml").write_text(yaml)
    opened = boxes(folder / "data.yaml", tmp_path / "cache")
    assert (opened.classes, sizes(opened)) == (("cat", "dog"), {"train": 6, "val": 3})


def test_roboflows_folders_by_split_are_read(tmp_path: Path) -> None:
    folder, laid_out = yolo(tmp_path / "flat"), tmp_path / "set"
    for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test")):
        for kind in ("images", "labels"):
            shutil.copytree(folder / kind / ours, laid_out / theirs / kind)
    (laid_out / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: [cat, dog]\n")
    assert sizes(boxes(laid_out, tmp_path / "cache")) == {"train": 6, "val": 3}
    (laid_out / "data.yaml").unlink()
    opened = boxes(laid_out, tmp_path / "cache")
    assert (sizes(opened), opened.classes) == (SPLITS, ("class_0", "class_1"))


def test_an_npz_is_read_with_medmnists_keys(tmp_path: Path) -> None:
    opened = labels(npz(tmp_path / "cells.npz"), tmp_path / "cache")
    assert (sizes(opened), opened.classes) == (SPLITS, ("class_0", "class_1", "class_2"))
    train = opened.splits["train"]
    assert isinstance(train.images, np.ndarray)
    assert (train.images.shape, train.images.dtype) == ((6, 12, 12, 3), np.uint8)
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_grey_pictures_of_an_npz_come_as_three_equal_channels(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (6, 12, 12), dtype=np.uint8)
    images = labels(npz(tmp_path / "x.npz", train_images=grey), tmp_path / "cache").splits["train"].images
    assert isinstance(images, np.ndarray)
    assert all(np.array_equal(images[..., channel], grey) for channel in range(3))


def test_an_npz_gets_its_class_names_from_itself_its_name_or_the_system(tmp_path: Path) -> None:
    own = npz(tmp_path / "own.npz", classes=np.array(["a", "b", "c"]))
    assert read_source(own, classes=("x", "y", "z")).classes == ("a", "b", "c")
    known = read_source(npz(tmp_path / "bloodmnist_64.npz"))
    assert (len(known.classes), known.classes[3]) == (8, "immature_granulocytes")
    assert read_source(npz(tmp_path / "new.npz"), classes=("x", "y", "z")).classes == ("x", "y", "z")


def test_class_folders_are_read_with_and_without_splits(tmp_path: Path) -> None:
    opened = labels(class_folders(tmp_path / "set"), tmp_path / "cache")
    assert (opened.classes, sizes(opened)) == (("cat", "dog"), {"train": 12, "val": 6, "test": 6})
    pool = labels(class_folders(tmp_path / "pool", splits={".": 20}), tmp_path / "cache")
    assert (pool.classes, sizes(pool)) == (("cat", "dog"), {"train": 28, "val": 6, "test": 6})


def test_splits_are_drawn_alike_for_the_same_seed_wherever_the_set_lies(tmp_path: Path) -> None:
    class_folders(tmp_path / "here/pool", splits={".": 20})
    shutil.copytree(tmp_path / "here/pool", tmp_path / "there/pool")

    def val(place: str, seed: int) -> list[str]:
        source = read_source(tmp_path / place / "pool", seed=seed)
        assert isinstance(source, ClassificationSource)
        return [f"{Path(each).parent.name}/{Path(each).name}" for each in source.splits["val"].images]  # type: ignore[arg-type]

    assert val("here", 0) == val("there", 0) != val("here", 1)


def test_a_table_is_read_with_its_splits(tmp_path: Path) -> None:
    rows = [f"{split}{index}.jpg,{['cat', 'dog'][index % 2]},{word}"
            for split, word in (("train", "Training"), ("val", "dev"), ("test", "test"))
            for index in range(4)]  # fmt: skip
    folder = table(tmp_path / "set", rows, "filename,class,split")
    opened = labels(folder / "labels.csv", tmp_path / "cache")
    assert (opened.classes, sizes(opened)) == (("cat", "dog"), {"train": 4, "val": 4, "test": 4})


def test_a_tables_patients_are_not_torn_apart(tmp_path: Path) -> None:
    rows = [f"{patient}_{index}.jpg,{['cat', 'dog'][patient % 2]},p{patient}"
            for patient in range(16) for index in range(3)]  # fmt: skip
    opened = labels(table(tmp_path / "set", rows, "image,label,patient"), tmp_path / "cache")
    patients = [{Path(each).name.split("_")[0] for each in own.images} for own in opened.splits.values()]  # type: ignore[arg-type]
    assert len(patients) == 3
    assert sum(map(len, patients)) == len(set.union(*patients)) == 16


def test_numbered_labels_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,{number % 11}" for number in range(44)]
    opened = labels(table(tmp_path / "set", rows), tmp_path / "cache")
    assert opened.classes == tuple(str(number) for number in range(11))


READ_ONLY = {
    "yolo": yolo, "voc": voc, "coco": coco, "labelimg": labelimg_voc, "folders": class_folders,
    "npz": lambda folder: npz(folder / "x.npz").parent,
    "table": lambda folder: table(folder, [f"{n}.jpg,{n % 2}" for n in range(20)]),
}  # fmt: skip


@pytest.mark.parametrize("name", READ_ONLY)
def test_nothing_is_written_beside_the_data(name: str, tmp_path: Path) -> None:
    folder = READ_ONLY[name](tmp_path / "set")
    before = state(folder)
    task = "classification" if name in ("folders", "npz", "table") else "detection"
    open_dataset([str(folder)], task, cache=tmp_path / "cache")
    assert state(folder) == before


BROKEN_YAML = {
    "train: [images/train\nnames: [a]\n": r"data\.yaml:2: not valid YAML",
    "just words\n": "expected a mapping",
    "train: images/train\nval: images/val\n": "names is None",
    "train: images/train\nval: images/val\nnames: [cat, dog]\nnc: 3\n": "nc is 3, but names has 2",
    "train: images/train\nval: images/val\nnames: [cat, cat]\n": "'cat' twice",
    "train: images/train\nval: images/val\nnames: {0: cat, 2: dog}\n": "without gaps",
    "train: images/train\nval: images/validation\nnames: [cat, dog]\n": "images/validation does not exist",
    "val: images/val\nnames: [cat, dog]\n": "train: is missing",
    "train: images/train\nnames: [cat, dog]\n": "no images in its val split",
    "train: 3\nval: images/val\nnames: [cat, dog]\n": "train: 3 does not exist",
}


@pytest.mark.parametrize("yaml", BROKEN_YAML)
def test_a_broken_data_yaml_is_told_in_one_line(yaml: str, tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "data.yaml").write_text(yaml)
    with pytest.raises(DataFault, match=BROKEN_YAML[yaml]) as fault:
        boxes(folder, tmp_path / "cache")
    assert "\n" not in str(fault.value)


BROKEN_NPZ: dict[str, dict[str, object]] = {
    "train_images is missing": {"train_images": None},
    "val_labels is missing": {"val_labels": None},
    "no images in its val split": {"val_images": None, "val_labels": None},
    r"expected uint8": {"train_images": np.zeros((6, 12, 12, 3), dtype=np.float32)},
    r"for 6 images": {"train_labels": np.zeros((4, 1), dtype=np.uint8)},
    r"expected 0 or more": {"train_labels": np.full((6, 1), -1, dtype=np.int64)},
    "several labels per image": {"train_labels": np.zeros((6, 14), dtype=np.uint8)},
    "not an npz of plain arrays": {"train_labels": np.array([["a"]] * 6, dtype=object)},
}


@pytest.mark.parametrize("says", BROKEN_NPZ)
def test_a_broken_npz_is_told_in_one_line(says: str, tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=says) as fault:
        labels(npz(tmp_path / "x.npz", **BROKEN_NPZ[says]), tmp_path / "cache")
    assert "\n" not in str(fault.value)


def test_files_that_are_no_data_are_told_in_one_line(tmp_path: Path) -> None:
    cut_off = npz(tmp_path / "cut.npz")
    cut_off.write_bytes(cut_off.read_bytes()[:200])
    (tmp_path / "empty.npz").touch()
    (tmp_path / "columns.csv").write_text("picture_of,kind_of\na,b\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "not.json").write_text("{")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "nothing").mkdir()
    for name in ("cut.npz", "empty.npz", "columns.csv", "bytes.csv", "empty.csv", "not.json", "list.json",
                 "notes.txt", "nothing", "never-was"):  # fmt: skip
        for task in ("classification", "detection"):
            with pytest.raises(DataFault) as fault:
                open_dataset([str(tmp_path / name)], task, cache=tmp_path / "cache")
            assert name in str(fault.value)
            assert "\n" not in str(fault.value)


def test_a_boxed_set_is_no_classifiers_and_says_how_to_cut_it_out(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="mlops data convert"):
        labels(yolo(tmp_path / "set"), tmp_path / "cache")
    with pytest.raises(DataFault, match="needs boxes"):
        boxes(class_folders(tmp_path / "folders"), tmp_path / "cache")


def test_errors_in_labels_stop_it_with_the_first_and_their_number(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels/train/train0.txt").write_text("7 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n")
    with pytest.raises(DataFault, match=r"train0\.txt:1: class 7 is unknown.*\(and 1 more; run `mlops"):
        boxes(folder, tmp_path / "cache")
