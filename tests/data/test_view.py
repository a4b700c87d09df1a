"""Ultralytics trains on a view in the cache: the same pictures and boxes, and the user's folder untouched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import yaml

from mlops.data import open_dataset
from mlops.data.dataset import DetectionDataset
from mlops.data.ultralytics_view import original_of, yolo_view
from tests.data.sets import coco, state, voc, yolo


def opened(path: Path, cache: Path) -> DetectionDataset:
    found = open_dataset([str(path)], "detection", cache=cache)
    assert isinstance(found, DetectionDataset)
    return found


def test_the_view_is_a_yolo_set_with_the_same_boxes(tmp_path: Path) -> None:
    dataset = opened(voc(tmp_path / "set"), tmp_path / "cache")
    view = yolo_view(dataset, tmp_path / "cache")
    again = opened(view, tmp_path / "other-cache")
    assert again.classes == dataset.classes
    for split, own in dataset.splits.items():
        assert [each.boxes for each in again.splits[split]] == [each.boxes for each in own]


def test_ultralytics_reads_it_and_leaves_the_users_folder_as_it_was(tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset

    folder = yolo(tmp_path / "set")
    outlined = folder / "labels/train/train0.txt"
    outlined.write_text("1 0.2 0.2 0.6 0.2 0.4 0.8\n0 0.5 0.5 0.2 0.2\n")
    long_tail = folder / "images/train/train3.jpg"
    long_tail.write_bytes(long_tail.read_bytes() + b"\0\0")  # Ultralytics mends such a file in place
    before = state(folder)

    view = yolo_view(opened(folder, tmp_path / "cache"), tmp_path / "cache")
    data = yaml.safe_load((view / "data.yaml").read_text())
    read = YOLODataset(img_path=str(view / data["train"]), data=data | {"channels": 3}, imgsz=32)

    assert state(folder) == before
    assert list(view.rglob("*.cache"))
    assert data["names"] == ["cat", "dog"]
    assert [len(each["cls"]) for each in read.labels] == [2, 1, 1, 1, 1, 1]
    first = read.labels[0]
    assert first["cls"].ravel().tolist() == [1, 0]
    assert np.allclose(first["bboxes"], [[0.4, 0.5, 0.4, 0.6], [0.5, 0.5, 0.2, 0.2]], atol=1e-6)


def test_a_view_is_made_once_however_many_ask_for_it(tmp_path: Path) -> None:
    dataset = opened(coco(tmp_path / "set"), tmp_path / "cache")
    with ThreadPoolExecutor(8) as pool:
        views = set(pool.map(lambda _: yolo_view(dataset, tmp_path / "cache"), range(8)))
    (view,) = views
    assert list(view.parent.iterdir()) == [view]


def test_changed_labels_get_a_view_of_their_own(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    first = yolo_view(opened(folder, tmp_path / "cache"), tmp_path / "cache")
    (folder / "labels/train/train0.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    second = yolo_view(opened(folder, tmp_path / "cache"), tmp_path / "cache")
    assert first != second
    assert next((second / "labels/train").glob("*train0.txt")).read_text() == "1 0.5 0.5 0.2 0.2\n"


def test_a_picture_of_a_view_leads_back_to_the_users(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    view = yolo_view(opened(folder, tmp_path / "cache"), tmp_path / "cache")
    found = {original_of(each) for each in (view / "images/val").iterdir()}
    assert found == set((folder / "images/val").iterdir())
