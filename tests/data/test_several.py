"""Several data sets trained as one: a class map says what is what, and a picture knows its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops.data import open_dataset
from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.errors import BadSetting, DataFault
from tests.command import Shell
from tests.data.sets import class_folders, npz, yolo


def mapped(text: str, tmp_path: Path) -> Path:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    return file


def labels(
    *paths: Path, cache: Path, class_map: Path | None = None, classes: tuple[str, ...] = ()
) -> ClassificationDataset:
    opened = open_dataset(
        [str(path) for path in paths], "classification", cache=cache, class_map=class_map, classes=classes
    )
    assert isinstance(opened, ClassificationDataset)
    return opened


def test_classes_of_the_same_name_are_one_class(tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one", ("cat", "dog"))
    two = class_folders(tmp_path / "two", ("cow", "dog"))
    opened = labels(one, two, cache=tmp_path / "cache")
    assert opened.classes == ("cat", "dog", "cow")
    train = opened.splits["train"]
    assert np.bincount(train.labels).tolist() == [6, 12, 6]
    assert (train.sources.count("one"), train.sources.count("two")) == (12, 12)
    assert opened.identity.name == "one+two"


def test_what_was_opened_by_a_relative_path_is_found_again_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(class_folders(tmp_path / "one", ("cat", "dog")).parent)
    recorded = labels(Path("one"), cache=tmp_path / "cache").identity.path
    monkeypatch.chdir(class_folders(tmp_path / "elsewhere" / "two", ("cow", "dog")))
    assert labels(Path(recorded), cache=tmp_path / "cache").classes == ("cat", "dog")


def test_the_classes_are_in_the_systems_order_whichever_source_comes_first(tmp_path: Path) -> None:
    one, two = class_folders(tmp_path / "one", ("b", "c")), class_folders(tmp_path / "two", ("a", "c"))
    cache = tmp_path / "cache"
    assert labels(one, two, cache=cache, classes=("a", "b", "c", "d")).classes == ("a", "b", "c")
    assert labels(two, one, cache=cache, classes=("a", "b", "c", "d")).classes == ("a", "b", "c")
    assert labels(one, two, cache=cache, classes=("a", "b")).classes == ("b", "c", "a")


def test_the_class_map_renames_joins_and_leaves_out(tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one", ("kitten", "cat", "dog"))
    two = class_folders(tmp_path / "two", ("CAT", "RBC"))
    file = mapped("one: {kitten: cat, cat: cat, dog: dog}\ntwo: {CAT: cat, RBC: null}\n", tmp_path)
    train = labels(one, two, cache=tmp_path / "cache", class_map=file).splits["train"]
    assert np.bincount(train.labels).tolist() == [18, 6]
    assert len(train.images) == len(train.sources) == 24


def test_a_map_without_sections_holds_for_every_source(tmp_path: Path) -> None:
    one, two = class_folders(tmp_path / "one"), class_folders(tmp_path / "two")
    opened = labels(one, two, cache=tmp_path / "c", class_map=mapped("cat: lynx\ndog: wolf\n", tmp_path))
    assert opened.classes == ("lynx", "wolf")


def test_sources_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    one, two = class_folders(tmp_path / "a/cells"), class_folders(tmp_path / "b/cells")
    assert set(labels(one, two, cache=tmp_path / "cache").splits["val"].sources) == {"cells", "cells-2"}


def test_an_npz_and_class_folders_are_trained_together(tmp_path: Path) -> None:
    tiles = npz(tmp_path / "tiles.npz", classes=np.array(["cat", "dog", "cow"]))
    folder = class_folders(tmp_path / "folder")
    train = labels(tiles, folder, cache=tmp_path / "cache").splits["train"]
    assert [train.sources.count(name) for name in ("tiles", "folder")] == [6, 12]
    with np.load(tiles) as stored:
        first = stored["train_images"][0]
    assert np.array_equal(np.asarray(Image.open(train.images[0])), first)  # type: ignore[arg-type]


def test_boxes_of_several_sources_are_mapped(tmp_path: Path) -> None:
    one, two = yolo(tmp_path / "one"), yolo(tmp_path / "two", classes=("cow", "cat"))
    file = mapped("one: {cat: cat, dog: null}\ntwo: {cow: cow, cat: cat}\n", tmp_path)
    opened = open_dataset([str(one), str(two)], "detection", cache=tmp_path / "cache", class_map=file)
    assert isinstance(opened, DetectionDataset)
    assert opened.classes == ("cat", "cow")
    found = [(each.source, tuple(box.class_index for box in each.boxes)) for each in opened.splits["val"]]
    assert found == [("one", (0,)), ("one", ()), ("one", (0,)), ("two", (1,)), ("two", (0,)), ("two", (1,))]


def test_map_and_order_are_part_of_the_digest(tmp_path: Path) -> None:
    one, two = class_folders(tmp_path / "one"), class_folders(tmp_path / "two", ("cow", "dog"))
    cache = tmp_path / "cache"
    seen = {
        labels(one, cache=cache).identity.digest,
        labels(one, two, cache=cache).identity.digest,
        labels(two, one, cache=cache).identity.digest,
        labels(one, cache=cache, class_map=mapped("cat: a\ndog: b\n", tmp_path)).identity.digest,
        labels(one, cache=cache, class_map=mapped("cat: b\ndog: a\n", tmp_path)).identity.digest,
    }
    assert len(seen) == 5


BROKEN = {
    "one: {cat: cat}\n": "class is 'dog'",
    "other: {cat: cat, dog: dog}\n": "source is 'one'",
    "- cat\n": "not a class map",
    "": "not a class map",
    "a: [b\n": "not valid YAML",
    "one: {cat: cat, dog: dog}\ncat: cat\n": "both sections and plain lines",
    "one: {cat: [a, b], dog: dog}\n": "one name, or to null",
    "one: {cat: cat, dog: null}\n": "leaves 1 classes",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_map_that_does_not_fit_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one")
    with pytest.raises((BadSetting, DataFault), match=BROKEN[text]) as fault:
        labels(one, cache=tmp_path / "cache", class_map=mapped(text, tmp_path))
    assert "map.yaml" in str(fault.value)
    assert len(str(fault.value).splitlines()) == 1
    with pytest.raises(DataFault, match="does not exist"):
        labels(one, cache=tmp_path / "cache", class_map=tmp_path / "gone.yaml")


def test_a_map_that_empties_a_split_is_told(tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one", ("cat", "dog", "cow"), {"train": 4, "val": 2})
    for name in ("cat", "dog"):
        for file in (one / "val" / name).iterdir():
            file.unlink()
    with pytest.raises(DataFault, match=r"by .*map\.yaml has no images in its val split"):
        labels(one, cache=tmp_path / "c", class_map=mapped("cat: cat\ndog: dog\ncow: null\n", tmp_path))


def test_train_refuses_a_class_map_that_lacks_a_class_before_it_begins(shell: Shell) -> None:
    class_folders(shell.folder / "cells")
    (shell.folder / "map.yaml").write_text("cat: basophil\n")
    done = shell.run("train", "blood-cell-classifier", "--data", "cells", "--class-map", "map.yaml")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "dog" in done.stderr
