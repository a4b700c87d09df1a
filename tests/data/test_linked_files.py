"""Links and paths out of a data set that people really have go on working; what they lead to is checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mlops.data import check_dataset, open_dataset
from mlops.data.converting.convert import convert
from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.errors import DataFault
from tests.data.sets import class_folders, coco, table, yolo


def count(path: Path, cache: Path) -> dict[str, int]:
    dataset = open_dataset([str(path)], "detection", cache=cache)
    assert isinstance(dataset, DetectionDataset)
    return {split: sum(len(each.boxes) for each in own) for split, own in dataset.splits.items()}


EVERY_BOX = {"train": 6, "val": 3, "test": 3}


def as_a_cache_keeps_it(folder: Path, store: Path, *, suffixes: bool) -> None:
    """Each file as a link to one that is named after its content, as Hugging Face and DVC keep data sets."""
    store.mkdir()
    for file in [each for each in folder.rglob("*") if each.is_file()]:
        name = hashlib.sha256(file.read_bytes() + str(file).encode()).hexdigest()
        kept = store / (f"SHA256E-s9--{name}{file.suffix}" if suffixes else name)
        file.rename(kept)
        file.symlink_to(kept)


@pytest.mark.parametrize("suffixes", [False, True])
def test_links_into_a_cache_are_followed(suffixes: bool, tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    as_a_cache_keeps_it(folder, tmp_path / "store", suffixes=suffixes)
    assert count(folder, tmp_path / "cache") == EVERY_BOX
    assert check_dataset([str(folder)], "detection", cache=tmp_path / "cache") == []


def test_class_names_in_a_cache_are_read(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("cat\ndog\n")
    as_a_cache_keeps_it(folder, tmp_path / "store", suffixes=False)
    assert open_dataset([str(folder)], "detection", cache=tmp_path / "cache").classes == ("cat", "dog")


def test_images_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    for image in (folder / "images/train").iterdir():
        image.rename(tmp_path / image.name)
        image.symlink_to(tmp_path / image.name)
    (folder / "labels").rename(tmp_path / "labels")
    (folder / "labels").symlink_to(tmp_path / "labels")
    assert count(folder, tmp_path / "cache") == EVERY_BOX
    (tmp_path / "alias").symlink_to(folder)
    assert count(tmp_path / "alias", tmp_path / "cache") == EVERY_BOX


def test_paths_as_roboflow_and_darknet_write_them_are_followed(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (tmp_path / "config").mkdir()
    places = "train: ../set/images/train\nval: ../set/images/val\ntest: ../set/images/test\n"
    (tmp_path / "config/data.yaml").write_text(f"{places}names: [cat, dog]\n")
    assert count(tmp_path / "config/data.yaml", tmp_path / "cache") == EVERY_BOX
    for split in EVERY_BOX:
        images = sorted((folder / "images" / split).iterdir())
        (tmp_path / f"config/{split}.txt").write_text("".join(f"{each}\n" for each in images))
    places = "".join(f"{split}: {split}.txt\n" for split in EVERY_BOX)
    (tmp_path / "config/data.yaml").write_text(f"{places}names: [cat, dog]\n")
    assert count(tmp_path / "config/data.yaml", tmp_path / "cache") == EVERY_BOX


def test_a_mistake_in_a_declared_folder_is_quoted(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels/train/train0.txt").write_text("0 high .5 .5 .5\n")
    (tmp_path / "config").mkdir()
    places = "train: ../set/images/train\nval: ../set/images/val\n"
    (tmp_path / "config/data.yaml").write_text(f"{places}names: [cat, dog]\n")
    with pytest.raises(DataFault, match="coordinate 'high' is not a number"):
        count(tmp_path / "config/data.yaml", tmp_path / "cache")


def test_a_table_with_absolute_paths_is_read(tmp_path: Path) -> None:
    class_folders(tmp_path / "images", splits={".": 6})
    files = sorted((tmp_path / "images").rglob("*.jpg"))
    (tmp_path / "set").mkdir()
    rows = "".join(f"{file},{file.parent.name}\n" for file in files)
    (tmp_path / "set/labels.csv").write_text(f"image,label\n{rows}")
    dataset = open_dataset([str(tmp_path / "set")], "classification", cache=tmp_path / "cache")
    assert isinstance(dataset, ClassificationDataset)
    assert sum(map(len, dataset.splits.values())) == 12


def test_a_coco_name_beside_the_annotations_folder_is_read(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set")
    text = (folder / "coco.json").read_text().replace('"patient', '"../images/patient')
    (folder / "annotations").mkdir()
    (folder / "coco.json").unlink()
    (folder / "annotations/instances.json").write_text(text)
    assert sum(count(folder, tmp_path / "cache").values()) == 24


def test_nothing_of_a_linked_file_is_copied(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (tmp_path / "key").write_text("secret")
    image = folder / "images/train/train0.jpg"
    image.unlink()
    image.symlink_to(tmp_path / "key")
    with pytest.raises(DataFault, match="which is not an image"):
        convert(folder, tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_read_are_counted(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    for name in ("a.heic", "b.heic", "c.avif", "d.dcm"):
        (folder / "images/train" / name).write_bytes(b"x")
    found = {each.code: each.says for each in check_dataset([str(folder)], "detection", cache=tmp_path / "c")}
    assert found == {
        "no-decoder": "2 HEIF images need pi_heif, which is not installed: pip install pi_heif",
        "left-out-image": "images of formats that are not read are left out: 1 .avif, 1 .dcm; "
        "convert them to PNG",
    }


def test_an_image_of_another_format_is_read_by_its_content_only(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", [f"{number}.jpg,{number % 2}" for number in range(12)])
    image = folder / "images/0.jpg"
    image.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n"
    )  # starts Ghostscript
    faults = check_dataset([str(folder)], "classification", cache=tmp_path / "cache")
    assert [each.file for each in faults if each.code == "unreadable-image"] == [image]
    assert "cannot identify" in next(e.says for e in faults if e.file == image)
