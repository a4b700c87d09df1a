"""Data in a real S3 server are trained on like data in a folder: same pictures, same digest, same faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.data import check_dataset, open_dataset
from mlops.data.dataset import DetectionDataset
from mlops.data.ultralytics_view import yolo_view
from tests.command import Shell
from tests.data.sets import npz, table, yolo
from tests.s3 import S3Server, s3_server

BUCKET = "lab"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "weed") as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def sets(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets in a folder, which lie in the bucket too."""
    home = tmp_path_factory.mktemp("sets")
    yolo(home / "rail")
    npz(home / "cells.npz")
    table(home / "scans", [f"{number}.jpg,{number % 2}" for number in range(20)])
    server.upload(home, BUCKET, "v1")
    return home


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("rail", "detection"),
        ("rail/", "detection"),
        ("rail/data.yaml", "detection"),
        ("cells.npz", "classification"),
        ("scans/labels.csv", "classification"),
    ],
)
def test_the_same_set_has_the_same_digest_and_name_here_and_there(
    name: str, task: str, sets: Path, tmp_path: Path
) -> None:
    here = open_dataset([str(sets / name)], task, cache=tmp_path / "cache")
    there = open_dataset([f"s3://{BUCKET}/v1/{name}"], task, cache=tmp_path / "other-cache")
    assert there.identity.digest == here.identity.digest
    assert there.identity.name == here.identity.name
    assert there.identity.path == f"s3://{BUCKET}/v1/{name}"
    assert {split: len(own) for split, own in there.splits.items()} == {
        split: len(own) for split, own in here.splits.items()
    }


def test_a_detector_gets_a_view_of_what_was_fetched(sets: Path, tmp_path: Path) -> None:
    dataset = open_dataset([f"s3://{BUCKET}/v1/rail"], "detection", cache=tmp_path / "cache")
    assert isinstance(dataset, DetectionDataset)
    view = yolo_view(dataset, tmp_path / "cache")
    assert len(list((view / "images/train").iterdir())) == 6
    assert all(link.resolve().is_file() for link in (view / "images/train").iterdir())


def test_a_folder_and_a_prefix_are_trained_together(sets: Path, tmp_path: Path) -> None:
    shutil.copytree(sets / "scans", tmp_path / "own")
    both = [str(tmp_path / "own"), f"s3://{BUCKET}/v1/scans"]
    found = check_dataset(both, "classification", cache=tmp_path / "cache")
    assert "identical-across-splits" not in {each.code for each in found}
    assert open_dataset(both, "classification", cache=tmp_path / "cache").identity.name == "own+scans"


def test_the_check_finds_the_faults_of_a_prefix(server: S3Server, sets: Path, shell: Shell) -> None:
    shutil.copytree(sets / "rail", shell.folder / "rail")
    (shell.folder / "rail/labels/val/val0.txt").write_text("5 0.5 0.5 0.1 0.1\n")
    server.upload(shell.folder / "rail", BUCKET, "v2/rail")
    done = shell.run("data", "check", f"s3://{BUCKET}/v2/rail", "--json")
    assert done.returncode == 2
    (fault,) = [each for each in json.loads(done.stdout)["faults"] if each["severity"] == "error"]
    assert (fault["code"], fault["line"], Path(fault["file"]).name) == ("unknown-class", 1, "val0.txt")


def test_train_tells_in_one_line_of_a_bucket_that_is_not_there(shell: Shell) -> None:
    done = shell.run("train", "railway-detector", "--data", "s3://nowhere/rail", "--set", "weights=none")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "no bucket 'nowhere'" in line
