"""`mlops data convert`: from annotators' formats to what training reads, never touching the source."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlops.data import open_dataset
from mlops.data.converting.convert import SplitRequest, convert
from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.data.grouping import Grouping
from mlops.errors import BadSetting, DataFault
from tests.command import Shell
from tests.data.sets import (
    BOXES,
    coco,
    labelimg_voc,
    labelimg_yolo,
    picture,
    state,
    table_of_boxes,
    table_of_labels,
    voc,
    voc_xml,
)

MAKERS: dict[str, Callable[[Path], Path]] = {
    "LabelImg VOC": labelimg_voc,
    "LabelImg YOLO": labelimg_yolo,
    "COCO": coco,
    "table of boxes": table_of_boxes,
}
BY_PATIENT = SplitRequest(train=0.5, val=0.25, test=0.25, grouping=Grouping(pattern=r"(patient\d+)_"))


def patients(folder: Path, split: str) -> set[str]:
    return {
        m.group(1)
        for p in folder.rglob("*.png")
        if split in p.parts and (m := re.search(r"(patient\d+)", p.name))
    }


@pytest.mark.parametrize("name", MAKERS)
def test_boxes_come_through_to_yolo_as_they_were(name: str, tmp_path: Path) -> None:
    source = MAKERS[name](tmp_path / "source")
    before = state(source)
    convert(source, tmp_path / "out", "yolo", BY_PATIENT)
    assert state(source) == before

    dataset = open_dataset([str(tmp_path / "out")], "detection", cache=tmp_path / "cache")
    assert isinstance(dataset, DetectionDataset)
    assert dataset.classes == ("cat", "dog")
    pictures = [each for own in dataset.splits.values() for each in own]
    assert len(pictures) == 12
    for each in pictures:
        cat, dog = each.boxes
        assert (cat.x, cat.y, cat.width, cat.height) == pytest.approx((0.3, 0.3, 0.4, 0.4))
        assert (dog.x, dog.y, dog.width, dog.height) == pytest.approx((0.75, 0.625, 0.5, 0.75))


@pytest.mark.parametrize("name", MAKERS)
def test_no_patient_is_in_two_splits(name: str, tmp_path: Path) -> None:
    convert(MAKERS[name](tmp_path / "source"), tmp_path / "out", "yolo", BY_PATIENT)
    found = [patients(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert all(found)
    assert sum(map(len, found)) == len(set.union(*found)) == 4


@pytest.mark.parametrize("maker", [coco, table_of_boxes])
def test_a_column_can_tell_the_patient(maker: Callable[[Path], Path], tmp_path: Path) -> None:
    request = SplitRequest(train=0.5, val=0.25, test=0.25, grouping=Grouping(column="patient"))
    convert(maker(tmp_path / "source"), tmp_path / "out", "yolo", request)
    found = [patients(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert sum(map(len, found)) == len(set.union(*found)) == 4


def test_a_tables_patient_column_is_heeded_unasked(tmp_path: Path) -> None:
    convert(table_of_labels(tmp_path / "source"), tmp_path / "out", "imagefolder")
    found = [patients(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert sum(map(len, found)) == len(set.union(*found)) == 8
    dataset = open_dataset([str(tmp_path / "out")], "classification", cache=tmp_path / "cache")
    assert dataset.classes == ("cat", "dog")


def test_the_same_seed_draws_the_same_split(tmp_path: Path) -> None:
    source = labelimg_voc(tmp_path / "source")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        convert(source, tmp_path / out, "yolo", SplitRequest(seed=seed))
    files = {
        out: sorted(str(p.relative_to(tmp_path / out)) for p in (tmp_path / out).rglob("*.png"))
        for out in "abc"
    }
    assert files["a"] == files["b"] != files["c"]


def test_objects_are_cut_out_square_by_class(tmp_path: Path) -> None:
    done = convert(labelimg_voc(tmp_path / "source"), tmp_path / "out", "imagefolder")
    assert done.written == 24
    dataset = open_dataset([str(tmp_path / "out")], "classification", cache=tmp_path / "cache")
    assert isinstance(dataset, ClassificationDataset)
    assert dataset.classes == ("cat", "dog")
    sizes = {Image.open(path).size for path in (tmp_path / "out").rglob("*.png")}
    assert sizes == {(31, 31), (39, 39)}


def test_the_splits_that_a_source_has_are_kept(tmp_path: Path) -> None:
    source = voc(tmp_path / "voc")
    done = convert(source, tmp_path / "out", "yolo")
    assert done.kept_splits
    assert done.pictures == {"train": 7, "val": 3, "test": 2}
    with pytest.raises(BadSetting, match="has splits, which are kept"):
        convert(source, tmp_path / "again", "yolo", BY_PATIENT)


def test_a_box_without_area_is_dropped_and_named(tmp_path: Path) -> None:
    source = labelimg_voc(tmp_path / "source")
    (source / "patient00_000.xml").write_text(voc_xml("patient00_000", BOXES | {"cat": (5, 5, 5, 9)}))
    done = convert(source, tmp_path / "out", "yolo")
    assert done.written == 23
    assert [(w.code, w.file.name) for w in done.warnings] == [("zero-area", "patient00_000.xml")]


def test_pictures_of_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(9):
        picture(source / "images" / f"ward{number}" / "scan.png", number)
        label = source / "labels" / f"ward{number}" / "scan.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    done = convert(source, tmp_path / "out", "yolo", SplitRequest(grouping=Grouping(pattern=r"ward\d+")))
    assert sum(done.pictures.values()) == len(list((tmp_path / "out").rglob("*.png"))) == 9


def test_out_must_be_new_and_outside_the_source(tmp_path: Path) -> None:
    source = labelimg_voc(tmp_path / "source")
    before = state(source)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").touch()
    for out in (full, source, source / "inside"):
        with pytest.raises(DataFault):
            convert(source, out, "yolo")
    assert state(source) == before
    assert [p.name for p in full.iterdir()] == ["mine.txt"]


def test_an_error_in_the_labels_stops_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = labelimg_voc(tmp_path / "source")
    (source / "patient00_000.xml").write_text("<annotation><object>")
    with pytest.raises(DataFault, match=r"patient00_000\.xml"):
        convert(source, tmp_path / "out", "yolo")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (SplitRequest(0.5, 0.1, 0.1), "add up to 1"),
        (SplitRequest(grouping=Grouping(pattern="(")), "regular expression"),
        (SplitRequest(grouping=Grouping(pattern="zebra")), "does not match"),
        (SplitRequest(grouping=Grouping(column="ward")), "ward"),
        (SplitRequest(grouping=Grouping(pattern="patient")), "too few"),
    ],
)
def test_a_split_that_cannot_be_is_told(request_: SplitRequest, says: str, tmp_path: Path) -> None:
    with pytest.raises((BadSetting, DataFault), match=says):
        convert(coco(tmp_path / "source"), tmp_path / "out", "yolo", request_)


def test_labels_without_boxes_cannot_become_yolo(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="--to imagefolder"):
        convert(table_of_labels(tmp_path / "source"), tmp_path / "out", "yolo")


def test_the_command_prints_counts_and_warnings(shell: Shell) -> None:
    source = labelimg_voc(shell.folder / "source")
    (source / "patient00_000.xml").write_text(voc_xml("patient00_000", BOXES | {"cat": (5, 5, 5, 9)}))
    done = shell.run("data", "convert", "source", "--to", "yolo", "--out", "out", "--split", "0.6,0.2,0.2",
                     "--group-pattern", r"(patient\d+)", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["pictures"].values()) == 12
    assert re.fullmatch(r"warning: .*patient00_000\.xml:\d+: .*no area.*", done.stderr.strip())
    again = shell.run("data", "convert", "source", "--to", "yolo", "--out", "out")
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1


@pytest.mark.real_data
def test_bccd_passes_the_check_after_conversion(shared_data: Path, shell: Shell) -> None:
    done = shell.run("data", "convert", str(shared_data / "bccd"), "--to", "yolo", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["pictures"] == {"train": 205, "val": 87, "test": 72}
    assert result["written"] == 4886
    assert len(done.stderr.strip().splitlines()) == 2
    shell.succeed("data", "check", "out")
