"""`mlops data check`: every fault is found where it is, and a sound set has none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops.data import check_dataset, open_dataset
from mlops.data.checking import image_hashes
from mlops.data.faults import SEVERITY, Fault
from tests.command import Shell
from tests.data.sets import (
    BOXES,
    class_folders,
    coco,
    names,
    npz,
    picture,
    state,
    table,
    voc,
    voc_xml,
    yolo,
)


def check(*paths: Path, cache: Path, task: str | None = None) -> list[Fault]:
    return check_dataset([str(path) for path in paths], task, cache=cache)


@pytest.mark.parametrize("maker", [yolo, voc, class_folders, lambda folder: npz(folder / "x.npz")])
def test_a_sound_set_has_no_faults(maker: Callable[[Path], Path], tmp_path: Path) -> None:
    assert check(maker(tmp_path / "set"), cache=tmp_path / "cache") == []


ROWS = {
    "0 0.5 0.5 0.2": ("wrong-columns", "4 columns"),
    "0 0.5 0.5 0.2 0.2 0.1": ("wrong-columns", "6 columns"),
    "0 0.1 0.1 0.5 0.1 0.5 0.5 0.3": ("wrong-columns", "8 columns"),
    "0 0.5 half 0.2 0.2": ("not-a-number", "coordinate 'half'"),
    "cat 0.5 0.5 0.2 0.2": ("not-a-number", "class 'cat'"),
    "0 0.5 nan 0.2 0.2": ("not-a-number", "NaN"),
    "2 0.5 0.5 0.2 0.2": ("unknown-class", "class 2 is unknown; the set has 2 classes, 0 to 1"),
    "-1 0.5 0.5 0.2 0.2": ("unknown-class", "class -1"),
    "0.5 0.5 0.5 0.2 0.2": ("unknown-class", "class 0.5"),
    "0 1.5 0.5 0.2 0.2": ("outside-image", "coordinate 1.5"),
    "0 320 240 64 64": ("outside-image", "coordinate 320"),
    "0 0.1 0.1 0.5 -0.2 0.5 0.5": ("outside-image", "coordinate -0.2"),
    "0 0.5 0.5 0.0 0.2": ("zero-area", "no area"),
    "0 0.1 0.5 0.4 0.5 0.7 0.5": ("zero-area", "no area"),
    "0 0.05 0.5 0.3 0.2": ("over-edge", "0.100 beyond the edge"),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_wrong_row_is_named_with_its_line(row: str, tmp_path: Path) -> None:
    label = yolo(tmp_path / "set") / "labels/train/train1.txt"
    label.write_text(f"1 0.3 0.3 0.4 0.4\n\n{row}\n")
    (found,) = check(tmp_path / "set", cache=tmp_path / "cache")
    code, says = ROWS[row]
    assert (found.code, found.file, found.line, found.severity) == (code, label, 3, SEVERITY[code])
    assert says in found.says


def test_labels_and_pictures_without_each_other_are_named(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels/train/train0.txt").unlink()
    (folder / "labels/val/stray.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "labels/test/test0.txt").write_bytes(b"\xff\xfe\x00\x01")
    (folder / "images/train/notes.md").write_text("not a picture, and no fault")
    found = {(each.code, each.file.name) for each in check(folder, cache=tmp_path / "cache")}
    assert found == {
        ("missing-label", "train0.jpg"),
        ("orphan-label", "stray.txt"),
        ("unreadable-label", "test0.txt"),
    }


def test_pictures_that_cannot_be_read_or_are_not_what_their_name_says(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set") / "images/train"
    whole = (folder / "train0.jpg").read_bytes()
    (folder / "train0.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "train1.jpg").write_text("<html>404 not found</html>")
    (folder / "train2.jpg").write_bytes(b"")
    picture(folder / "x.png", 90).rename(folder / "train3.jpg")
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (5, 5, 3), dtype=np.uint8)).save(
        folder / "train4.jpg"
    )
    found = [(each.code, each.file.name) for each in check(tmp_path / "set", cache=tmp_path / "cache")]
    assert found == [
        *(("unreadable-image", f"train{number}.jpg") for number in (0, 1, 2, 4)),
        ("misnamed-image", "train3.jpg"),
    ]


def test_classes_without_objects_and_those_of_one_split_only(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", classes=("cat", "dog", "cow"))
    for label in (*folder.glob("labels/val/*"), *folder.glob("labels/test/*")):
        label.write_text("0 0.3 0.3 0.4 0.4\n")
    found = [(each.code, each.says) for each in check(folder, cache=tmp_path / "cache")]
    assert found == [
        ("class-never", "class 2 (cow) has no objects"),
        ("class-one-split", "class 1 (dog) is in train only (3 objects)"),
    ]


@pytest.mark.parametrize(("gone", "code"), [("val", "empty-split"), ("test", "empty-split")])
def test_an_empty_split_is_an_error(gone: str, code: str, tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    for file in folder.glob(f"images/{gone}/*"):
        file.unlink()
    shutil.rmtree(folder / f"labels/{gone}")
    found = [each for each in check(folder, cache=tmp_path / "cache") if each.severity == "error"]
    assert [(each.code, each.file.name) for each in found] == [(code, gone)]


def test_a_set_without_val_is_an_error_and_one_without_test_a_warning(tmp_path: Path) -> None:
    only_train = check(yolo(tmp_path / "a", {"train": 4}), cache=tmp_path / "cache")
    assert [each.code for each in only_train] == ["empty-split", "no-test-split"]
    without_test = check(yolo(tmp_path / "b", {"train": 4, "val": 2}), cache=tmp_path / "cache")
    assert [each.code for each in without_test] == ["no-test-split"]


def test_vocs_faults_have_the_objects_line(tmp_path: Path) -> None:
    folder = voc(tmp_path / "set")
    place = folder / "Annotations"
    for number, wrong in enumerate(
        (
            BOXES | {"dog": (5, 5, 5, 9)},
            BOXES | {"dog": (5, 5, 90, 9)},
            BOXES | {"dog": ("a", 5, 9, 9)},
            BOXES | {"": (5, 5, 9, 9)},
        )
    ):
        (place / f"{names()[number]}.xml").write_text(voc_xml(names()[number], wrong))  # type: ignore[arg-type]
    (place / f"{names()[4]}.xml").write_text("<annotation>\n<object>")
    (place / "stray.xml").write_text(voc_xml("stray", BOXES))
    (place / f"{names()[5]}.xml").unlink()
    picture(folder / "JPEGImages" / f"{names()[6]}.png", 6)
    Image.open(folder / "JPEGImages" / f"{names()[6]}.png").resize((40, 60)).save(
        folder / "JPEGImages" / f"{names()[6]}.png"
    )
    (folder / "ImageSets/Main/val.txt").write_text("\n".join([*names()[7:10], "gone"]) + "\n")
    found = {each.code: (each.file.stem, each.line) for each in check(folder, cache=tmp_path / "cache")}
    assert found == {
        "zero-area": (names()[0], 3),
        "outside-image": (names()[1], 3),
        "not-a-number": (names()[2], 3),
        "unknown-class": (names()[3], 4),
        "unreadable-label": (names()[4], 2),
        "orphan-label": ("stray", None),
        "missing-label": (names()[5], None),
        "wrong-size": (names()[6], None),
        "missing-image": ("val", 4),
    }


def test_cocos_faults_name_the_annotation(tmp_path: Path) -> None:
    file = coco(tmp_path / "set") / "coco.json"
    fields = json.loads(file.read_text())
    entries = fields["annotations"]
    entries[0]["bbox"] = [5, 5, 0, 9]
    entries[1]["bbox"] = [5, 5, 900, 9]
    entries[2]["bbox"] = [5, 5, 9]
    entries[3]["bbox"] = [5, 5, "x", 9]
    entries[4]["category_id"] = 9
    entries[5]["image_id"] = 777
    fields["images"].append({"id": 99, "file_name": "gone.png", "width": 60, "height": 40})
    file.write_text(json.dumps(fields))
    found = {each.code: each.says for each in check(file, cache=tmp_path / "cache")}
    found.pop("made-split")
    assert set(found) == {"zero-area", "outside-image", "wrong-columns", "not-a-number", "unknown-class",
                          "orphan-label", "missing-image"}  # fmt: skip
    assert "annotation 0" in found["zero-area"]
    assert "annotation 4: category_id 9" in found["unknown-class"]
    assert "777" in found["orphan-label"]


def test_a_tables_faults_have_its_lines(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,{['cat', 'dog'][n % 2]},{split},p{n}" for n, split in enumerate(
        ["train"] * 6 + ["val"] * 4 + ["test"] * 4)]  # fmt: skip
    folder = table(tmp_path / "set", rows, "image,label,split,patient")
    file = folder / "labels.csv"
    wrong = ["0.jpg,dog,train,p0", "gone.jpg,cat,train,p1", "1.jpg,dog", "2.jpg,,train,p2",
             "3.jpg,dog,holdout,p3", "4.jpg,cat,val,p4"]  # fmt: skip
    file.write_text(file.read_text() + "\n".join(wrong) + "\n")
    found = {(each.code, each.line) for each in check(folder, cache=tmp_path / "cache")}
    assert found == {
        ("conflicting-label", 16),
        ("missing-image", 17),
        ("wrong-columns", 18),
        ("missing-label", 19),
        ("unknown-split", 20),
        ("group-across-splits", None),
        ("identical-across-splits", None),
    }


def test_a_second_check_reads_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    folder, cache = yolo(tmp_path / "set"), tmp_path / "cache"
    for file in folder.rglob("*.jpg"):
        os.utime(file, (1e9, 1e9))  # settled: not changed in these seconds
    assert check(folder, cache=cache) == []
    read: list[Path] = []
    digest = image_hashes.sha256_of
    monkeypatch.setattr(image_hashes, "sha256_of", lambda file: (read.append(file), digest(file))[1])
    picture(folder / "images/val/val0.jpg", 77)
    assert check(folder, cache=cache) == []
    assert [each.name for each in read] == ["val0.jpg"]


def test_nothing_is_written_into_the_data(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    before = state(folder)
    check(folder, cache=tmp_path / "cache")
    assert state(folder) == before


def test_several_paths_each_tell_what_they_are(tmp_path: Path) -> None:
    found = check(yolo(tmp_path / "set"), tmp_path / "gone", cache=tmp_path / "cache", task="classification")
    assert [(each.code, each.file.name) for each in found] == [
        ("unreadable-set", "gone"),
        ("unreadable-set", "set"),
    ]


def test_the_command_counts_shows_the_first_of_a_kind_and_leaves_with_2(shell: Shell) -> None:
    folder = yolo(shell.folder / "set")
    for number in range(5):
        (folder / f"labels/train/train{number}.txt").write_text("9 0.5 0.5 0.1 0.1\n")
    done = shell.run("data", "check", "set")
    assert done.returncode == 2
    assert "error    unknown-class  5" in done.stdout
    assert "train0.txt:1: class 9 is unknown" in done.stdout
    assert "... 2 more (--all)" in done.stdout
    assert "Traceback" not in done.stderr
    every = json.loads(shell.run("data", "check", "set", "--json").stdout)
    assert (every["errors"], len(every["faults"])) == (5, 5 + every["warnings"])
    assert set(every["faults"][0]) == {"severity", "code", "file", "line", "says"}


def test_the_command_leaves_with_0_where_there_are_warnings_only(shell: Shell) -> None:
    yolo(shell.folder / "set", {"train": 4, "val": 2})
    assert "0 errors, 1 warnings" in shell.succeed("data", "check", "set")


REAL = {
    "railfod23": {"near-identical-across-splits": 7},
    "xray_bone_fracture": {
        "class-one-split": 1, "near-identical-across-splits": 1, "copy-across-splits": 105},
    "oct_plaque": {"no-test-split": 1},
    "bccd": {"zero-area": 2, "near-identical-across-splits": 1},
    "pbc_bloodmnist28": {"identical-across-splits": 7, "near-identical-across-splits": 2},
    "pbc_native": {},
}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_the_known_faults_of_real_data_are_found_and_none_stops_training(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    found = check(shared_data / name, cache=tmp_path / "cache")
    assert all(each.severity == "warning" for each in found)
    counts: dict[str, int] = {}
    for each in found:
        counts[each.code] = counts.get(each.code, 0) + 1
    assert counts == REAL[name]


def test_drawn_splits_are_checked_as_the_seed_draws_them(tmp_path: Path) -> None:
    """Two identical pictures are a leak only where the seed puts them into two splits."""
    rows = [f"{number}.png,{'cat' if number % 2 else 'dog'}" for number in range(20)]
    data = table(tmp_path / "set", rows)
    shutil.copy(data / "images" / "18.png", data / "images" / "19.png")
    leaks = set()
    for seed in range(8):
        faults = check_dataset([str(data)], "classification", cache=tmp_path / "cache", seed=seed)
        opened = open_dataset([str(data)], "classification", cache=tmp_path / "cache", seed=seed)
        split_of = {Path(image).name: name for name, own in opened.splits.items() for image in own.images}
        leaks.add(split_of["18.png"] != split_of["19.png"])
        found = any(fault.code == "identical-across-splits" for fault in faults)
        assert found == (split_of["18.png"] != split_of["19.png"])
    assert leaks == {True, False}
