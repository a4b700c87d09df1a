"""Data sets as people really have them: turned, doubled, half labelled. Read right, or told in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops.data import check_dataset, demo_dataset, open_dataset
from mlops.data.converting.convert import SplitRequest, convert
from mlops.data.dataset import DetectionDataset
from mlops.data.faults import Fault
from mlops.data.places import names_of
from mlops.data.readers import read_source
from mlops.errors import DataFault
from tests.command import Shell
from tests.data.sets import coco, labelimg_voc, npz, picture, yolo


def errors(path: Path, cache: Path, task: str = "detection") -> list[Fault]:
    return [each for each in check_dataset([str(path)], task, cache=cache) if each.severity == "error"]


def boxes_csv(folder: Path, *rows: str) -> Path:
    for row in rows:
        name = row.partition(",")[0]
        if name:
            picture(folder / name, len(name))
    (folder / "boxes.csv").write_text("\n".join(("image,label,x1,y1,x2,y2,split", *rows)) + "\n")
    return folder


def test_what_is_converted_from_demo_data_is_demo_data(tmp_path: Path) -> None:
    source = demo_dataset("railway-detector", tmp_path / "demo", size="tiny")
    for to in ("yolo", "imagefolder"):
        out = tmp_path / to
        convert(source, out, to)  # type: ignore[arg-type]
        task = "detection" if to == "yolo" else "classification"
        assert open_dataset([str(out)], task, cache=tmp_path / "cache").identity.demo
    with pytest.raises(DataFault, match="files that are not demo data"):
        demo_dataset("railway-detector", tmp_path / "yolo", size="tiny")


def test_an_object_is_cut_out_of_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    upright = np.zeros((60, 120, 3), np.uint8)
    upright[10:30, 80:100] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored is to be turned by 90 degrees to be seen
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    stored.save(source / "images" / "turned.png", exif=exif)
    held = {
        "images": [{"id": 1, "file_name": "turned.png"}],  # no size: it is read from the picture
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [80, 10, 20, 20]}],
        "categories": [{"id": 1, "name": "red"}],
    }
    (source / "coco.json").write_text(json.dumps(held))
    convert(source, tmp_path / "out", "imagefolder", SplitRequest(train=1, val=0, test=0))
    (cut,) = (tmp_path / "out").rglob("*.png")
    shown = np.asarray(Image.open(cut).convert("RGB"))
    assert shown.shape == (26, 26, 3)
    assert (shown[3:23, 3:23] == (255, 0, 0)).all()


def test_a_broken_exif_block_turns_nothing(tmp_path: Path) -> None:
    source = coco(tmp_path / "source")
    for file in source.rglob("*.png"):
        Image.open(file).save(file, exif=b"Exif\0\0garbage!!!!!!")
    held = json.loads((source / "coco.json").read_text())
    for image in held["images"]:
        del image["width"], image["height"]
    (source / "coco.json").write_text(json.dumps(held))
    assert errors(source, tmp_path / "cache") == []
    assert convert(source, tmp_path / "out", "imagefolder").written == 24


def test_a_corner_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"no valid row; 0.png: a corner is NaN or infinite"):
        convert(boxes_csv(tmp_path / "t", "0.png,a,nan,1,20,20,train"), tmp_path / "out", "yolo")
    file = coco(tmp_path / "c") / "coco.json"
    held = json.loads(file.read_text())
    held["annotations"][0]["segmentation"] = [[float("nan"), 1, 10, 1, 10, 10]]
    held["annotations"][1]["segmentation"] = [[10**400, 1, 10, 1, 10, 10]]
    file.write_text(json.dumps(held))
    source = read_source(file)
    boxes = [box for own in source.splits.values() for each in own for box in each.boxes]  # type: ignore[union-attr]
    assert all(box.polygon == () and np.isfinite(box.x) for box in boxes)


def test_a_table_of_boxes_is_read_row_by_row(tmp_path: Path) -> None:
    made = boxes_csv(tmp_path / "blank", "0.png,a,1,1,20,20,train", "11.png,b,1,1,20,20,val", "")
    assert convert(made, tmp_path / "out", "yolo").written == 2
    for row, says in (
        ("0.png,,1,1,20,20,train", "the box has no label"),
        ("11.png,a,1,1,20,20,train", "is in split train, but in val in an earlier row"),
    ):
        made = boxes_csv(tmp_path / says[:5], "0.png,a,1,1,20,20,train", "11.png,a,1,1,20,20,val", row)
        with pytest.raises(DataFault, match=f"boxes.csv:4: .*{says}"):
            convert(made, tmp_path / "never", "yolo")


def test_a_coco_folder_names_what_is_wrong_with_it(tmp_path: Path) -> None:
    only_val = coco(tmp_path / "val")
    (only_val / "coco.json").rename(only_val / "instances_val.json")
    assert [each.code for each in errors(only_val, tmp_path / "cache")] == ["empty-split"]
    with pytest.raises(DataFault, match="no images in its train split"):
        open_dataset([str(only_val)], "detection", cache=tmp_path / "cache")

    twice = coco(tmp_path / "twice")
    for name in ("train_a.json", "train_b.json"):
        (twice / name).write_bytes((twice / "coco.json").read_bytes())
    (twice / "coco.json").unlink()
    with pytest.raises(DataFault, match=r"train_a.json and train_b.json are both for the split train"):
        read_source(twice)

    file = coco(tmp_path / "ids") / "coco.json"
    held = json.loads(file.read_text())
    held["images"][1]["id"] = held["images"][0]["id"]
    file.write_text(json.dumps(held))
    with pytest.raises(DataFault, match=r"image id 0 is used by patient00_000.png and patient00_001.png"):
        read_source(file)


def test_pictures_of_one_name_in_many_folders_are_many_pictures(tmp_path: Path) -> None:
    rows = ["image,label"]
    for number in range(40):
        picture(tmp_path / f"case{number}" / "image.png", number)
        rows.append(f"case{number}/image.png,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    splits = read_source(tmp_path / "labels.csv").splits
    assert {split: len(own) for split, own in splits.items()} == {"train": 28, "val": 6, "test": 6}

    folder = tmp_path / "yolo"
    for number in range(20):
        picture(folder / "images" / f"case{number}" / "img.png", number)
        label = folder / "labels" / f"case{number}" / "img.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    dataset = open_dataset([str(folder)], "detection", cache=tmp_path / "cache")
    assert isinstance(dataset, DetectionDataset)
    assert all(dataset.splits.values())


def test_the_check_refuses_what_training_refuses(tmp_path: Path) -> None:
    rows = [f"{number}.png,{number % 2},train" for number in range(6)]
    for number in range(6):
        picture(tmp_path / f"{number}.png", number)
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(("image,label,split", *rows)) + "\n")
    (found,) = errors(table, tmp_path / "cache", "classification")
    assert (found.code, found.says.partition(";")[0]) == ("empty-split", "no images in the val split")
    for each in ("a/0", "a/1", "b/2", "b/3"):
        picture(tmp_path / "few" / f"{each}.png", int(each[-1]))
    (found,) = errors(tmp_path / "few", tmp_path / "cache", "classification")
    assert "too few images, or groups of images" in found.says
    with pytest.raises(DataFault, match="too few images, or groups of images"):
        open_dataset([str(tmp_path / "few")], "classification", cache=tmp_path / "cache")


def test_a_row_given_twice_is_one_picture_of_its_split(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / f"{number}.png", number)
    rows = ["0.png,a,train", "1.png,b,train", "2.png,a,val", "3.png,b,val", *["0.png,a,val"] * 3]
    (tmp_path / "labels.csv").write_text("\n".join(("image,label,split", *rows)) + "\n")
    splits = read_source(tmp_path / "labels.csv").splits
    assert {split: len(own) for split, own in splits.items()} == {"train": 2, "val": 3}


def test_names_are_told_apart(tmp_path: Path) -> None:
    assert names_of(["a/cells", "b/cells", "c/cells-2"]) == ["cells", "cells-2", "cells-2-2"]
    for number, label in enumerate(("1", "01", "2")):
        picture(tmp_path / f"{number}.png", number)
        with (tmp_path / "labels.csv").open("a") as table:
            table.write(f"{'' if number else 'image,label' + os.linesep}{number}.png,{label}\n")
    assert read_source(tmp_path / "labels.csv").classes == ("01", "1", "2")
    file = npz(tmp_path / "cells.npz", classes=np.array(["a", "b", "a"]))
    with pytest.raises(DataFault, match="classes has 'a' twice"):
        read_source(file)


@pytest.mark.parametrize("encoding", ["GB2312", "no-such"])
def test_xml_in_another_encoding_is_a_fault_of_its_file(encoding: str, tmp_path: Path) -> None:
    folder = labelimg_voc(tmp_path / "set")
    (file, *_) = sorted(folder.glob("*.xml"))
    file.write_text(f'<?xml version="1.0" encoding="{encoding}"?>' + file.read_text())
    (found,) = errors(folder, tmp_path / "cache")
    assert (found.code, found.file) == ("unreadable-label", file.resolve())


def test_an_endless_size_in_xml_is_no_size(tmp_path: Path) -> None:
    folder = labelimg_voc(tmp_path / "set")
    for file in folder.glob("*.xml"):
        file.write_text(file.read_text().replace("<width>60</width>", "<width>inf</width>"))
    assert errors(folder, tmp_path / "cache") == []


def test_a_lone_array_and_a_name_from_an_old_archive_are_told(shell: Shell) -> None:
    np.save(shell.folder / "cells.npy", np.zeros((2, 2)))
    (shell.folder / "cells.npy").rename(shell.folder / "cells.npz")
    done = shell.run("data", "check", "cells.npz")
    assert (done.returncode, "not an npz of plain arrays: it is a single array" in done.stdout) == (2, True)

    folder = yolo(shell.folder / "set")
    train = os.fsencode(folder / "images/train")
    os.rename(train + b"/train0.jpg", train + b"/caf\xe9.jpg")  # noqa: PTH104 - a name that is no text
    done = shell.run("data", "check", "set")
    assert (done.returncode, "is not valid UTF-8; rename the file" in done.stdout) == (2, True)
    os.rename(train + b"/caf\xe9.jpg", train + b"/train0.jpg")  # noqa: PTH104
    Path(os.fsdecode(train + b"/lies\xe9.txt")).touch()  # no picture, and nobody's label
    assert shell.run("data", "check", "set").returncode == 0


def test_what_cannot_be_reached_is_named_once_and_rightly(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    done = shell.run("data", "check", "s3://lab/rail", "--json")
    (row,) = json.loads(done.stdout)["faults"] if done.stdout.startswith("{") else json.loads(done.stdout)
    assert (row["code"], row["file"]) == ("unreadable-set", "s3://lab/rail")
    assert not row["says"].startswith("s3:")
