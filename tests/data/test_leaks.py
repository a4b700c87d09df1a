"""Pictures that are in two splits, the same or nearly the same, are found whatever they are called."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mlops.data import check_dataset
from mlops.data.faults import Fault
from tests.data.sets import class_folders, npz, yolo


def check(*paths: Path, cache: Path) -> list[Fault]:
    return check_dataset([str(path) for path in paths], None, cache=cache)


def scene(side: int = 160) -> Image.Image:
    """A picture with some shapes in it, which survive scaling and compression as noise does not."""
    field = np.random.default_rng(5).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC)


def test_the_same_picture_in_two_splits_is_found_whatever_its_name(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    shutil.copy(folder / "images/train/train2.jpg", folder / "images/val/val1.jpg")
    (found,) = check(folder, cache=tmp_path / "cache")
    assert (found.code, found.file.name) == ("identical-across-splits", "val1.jpg")
    assert "train2.jpg" in found.says


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((90, 90))


def brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(255, value + 12))


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2))


def compressed(image: Image.Image) -> Image.Image:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=15)
    return Image.open(held).convert("RGB")


@pytest.mark.parametrize("changed", [smaller, brighter, blurred, compressed])
def test_nearly_the_same_picture_in_two_splits_is_found(
    changed: Callable[[Image.Image], Image.Image], tmp_path: Path
) -> None:
    folder = yolo(tmp_path / "set")
    scene().save(folder / "images/train/train3.jpg", quality=95)
    changed(scene()).save(folder / "images/test/test0.jpg", quality=95)
    (found,) = check(folder, cache=tmp_path / "cache")
    assert (found.code, found.file.name) == ("near-identical-across-splits", "test0.jpg")
    assert "train3.jpg" in found.says


def test_a_picture_is_found_in_16_bits_of_grey_too(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    grey = scene().convert("L")
    grey.save(folder / "images/train/train3.jpg", quality=95)
    (folder / "images/test/test0.jpg").unlink()
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 256).save(folder / "images/test/test0.png")
    (found,) = check(folder, cache=tmp_path / "cache")
    assert (found.code, found.file.name) == ("near-identical-across-splits", "test0.png")


def test_within_one_split_likeness_is_no_fault(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    shutil.copy(folder / "images/train/train2.jpg", folder / "images/train/train4.jpg")
    assert check(folder, cache=tmp_path / "cache") == []


def test_augmented_copies_of_one_original_in_two_splits_are_told_by_their_names(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    for split, old, new in (
        ("train", "train0", f"hand_png.rf.{'a' * 32}"),
        ("val", "val0", f"hand_png.rf.{'b' * 32}"),
        ("train", "train1", "rail_aug_1"),
        ("test", "test1", "rail_aug_2"),
    ):
        for kind, suffix in (("images", "jpg"), ("labels", "txt")):
            (folder / kind / split / f"{old}.{suffix}").rename(folder / kind / split / f"{new}.{suffix}")
    found = {(each.code, each.file.stem.split(".")[0]) for each in check(folder, cache=tmp_path / "cache")}
    assert found == {("copy-across-splits", "rail_aug_2"), ("copy-across-splits", "hand_png")}


def test_tiles_of_an_npz_are_looked_at_like_files(tmp_path: Path) -> None:
    tiles = np.random.default_rng(7).integers(0, 255, (3, 12, 12, 3), dtype=np.uint8)
    file = npz(tmp_path / "x.npz")
    with np.load(file) as stored:
        tiles[1] = stored["train_images"][4]
    (found,) = check(npz(tmp_path / "y.npz", val_images=tiles), cache=tmp_path / "cache")
    assert found.code == "identical-across-splits"
    assert found.says == "val_images[1]: the same image is in train: train_images[4]"


def test_leaks_between_sources_trained_together_are_found(tmp_path: Path) -> None:
    one, two = class_folders(tmp_path / "one"), class_folders(tmp_path / "two", seed=500)
    shutil.copy(one / "train/cat/0.jpg", two / "test/cat/1.jpg")
    assert check(one, cache=tmp_path / "cache") == check(two, cache=tmp_path / "cache") == []
    (found,) = check(one, two, cache=tmp_path / "cache")
    assert (found.code, found.file) == ("identical-across-splits", two / "test/cat/1.jpg")
