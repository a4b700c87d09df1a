"""The digest names the content: the same anywhere, another for any change, quick when asked again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlops.data import open_dataset
from mlops.files.digests import file_digests
from tests.data.sets import class_folders, coco, npz, picture, table, voc, yolo

MAKERS: dict[str, Callable[[Path], Path]] = {
    "yolo": yolo,
    "voc": voc,
    "coco": coco,
    "folders": class_folders,
    "npz": lambda folder: npz(folder / "x.npz").parent,
    "table": lambda folder: table(folder, [f"{n}.jpg,{n % 2}" for n in range(20)]),
}


def digest(
    path: Path, cache: Path, *, version: str = "", seed: int = 0, class_map: Path | None = None
) -> str:
    task = "classification" if path.parent.name in ("folders", "npz", "table") else "detection"
    found = open_dataset([str(path)], task, cache=cache, version=version, seed=seed)
    assert found.identity.version == version
    assert len(found.identity.digest) == 64
    return found.identity.digest


@pytest.mark.parametrize("name", MAKERS)
def test_a_copy_elsewhere_has_the_same_digest(name: str, tmp_path: Path) -> None:
    folder = MAKERS[name](tmp_path / name / "set")
    shutil.copytree(folder, tmp_path / "else" / name / "renamed")
    first = digest(folder, tmp_path / "cache")
    assert digest(tmp_path / "else" / name / "renamed", tmp_path / "cache") == first
    assert digest(folder, tmp_path / "another-cache") == first


@pytest.mark.parametrize("name", MAKERS)
def test_one_changed_byte_gives_another_digest(name: str, tmp_path: Path) -> None:
    folder = MAKERS[name](tmp_path / name / "set")
    before = digest(folder, tmp_path / "cache")
    if name == "npz":
        npz(folder / "x.npz", val_labels=np.ones((3, 1), dtype=np.uint8))
    else:
        with next(file for file in sorted(folder.rglob("*")) if file.suffix in (".jpg", ".png")).open(
            "ab"
        ) as end:
            end.write(b"\0")
    assert digest(folder, tmp_path / "cache") != before


def test_what_training_does_not_read_changes_nothing(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "yolo/set")
    before = digest(folder, tmp_path / "cache")
    (folder / "README.md").write_text("hello")
    (folder / "images/train/.DS_Store").write_bytes(b"\0\0")
    (folder / "labels/train.cache").write_bytes(b"\0\0")
    assert digest(folder, tmp_path / "cache") == before


def test_labels_names_and_splits_are_part_of_it(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "yolo/set")
    seen = {digest(folder, tmp_path / "cache")}
    (folder / "labels/train/train0.txt").write_text("1 0.3 0.3 0.4 0.4\n")
    seen.add(digest(folder, tmp_path / "cache"))
    yaml = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(yaml.replace("cat", "cow"))
    seen.add(digest(folder, tmp_path / "cache"))
    (folder / "data.yaml").write_text(yaml.replace("test: images/test", "test: images/val"))
    seen.add(digest(folder, tmp_path / "cache"))
    assert len(seen) == 4


def test_a_version_is_a_name_and_no_content_and_a_seed_counts_where_it_draws(tmp_path: Path) -> None:
    kept, drawn = yolo(tmp_path / "yolo/set"), class_folders(tmp_path / "folders/pool", splits={".": 20})
    cache = tmp_path / "cache"
    assert digest(kept, cache, version="v12") == digest(kept, cache)
    assert digest(kept, cache, seed=1) == digest(kept, cache)
    assert digest(drawn, cache, seed=1) != digest(drawn, cache)


def test_a_second_call_reads_only_files_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [picture(tmp_path / f"{number}.png", number) for number in range(5)]
    for file in files:
        os.utime(file, (1e9, 1e9))  # settled: not changed in these seconds
    first = file_digests(files, tmp_path / "cache")
    picture(files[2], 99)
    read: list[str] = []
    from mlops.files import digests as module

    real = module.sha256_of
    monkeypatch.setattr(module, "sha256_of", lambda path: (read.append(path), real(path))[1])
    second = file_digests(files, tmp_path / "cache")
    assert read == [str(files[2])]
    assert [file for file in files if first[file] != second[file]] == [files[2]]


def test_a_file_changed_within_the_clocks_grain_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    first = file_digests([file], tmp_path / "cache")
    stat = file.stat()
    file.write_text("new")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_digests([file], tmp_path / "cache") != first
