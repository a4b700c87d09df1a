"""What a user gets wrong about data is told in one line, with exit code 2 and no traceback."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Shell
from tests.data.sets import class_folders, npz, state, table, yolo


def told(shell: Shell, *arguments: str) -> str:
    """The one line that a mistaken command prints."""
    return one_line(shell.run(*arguments))


def one_line(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 2, f"{answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    assert "Traceback" not in answer.stderr + answer.stdout
    (line,) = answer.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("name", ["gone", "empty", "notes.txt"])
def test_data_that_are_none_say_what_is_taken(name: str, shell: Shell) -> None:
    (shell.folder / "empty").mkdir()
    (shell.folder / "notes.txt").touch()
    done = shell.run("data", "check", name)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--data accepts a YOLO folder or data.yaml" in done.stdout
    line = told(shell, "data", "convert", name, "--to", "yolo", "--out", "out")
    assert name in line
    assert "--data accepts a YOLO folder or data.yaml" in line
    assert not (shell.folder / "out").exists()


def test_train_tells_of_broken_data_before_anything_is_stored(shell: Shell) -> None:
    npz(shell.folder / "cells.npz", train_labels=None)
    wrong = table(shell.folder / "table", [f"{number}.jpg,{number % 2}" for number in range(9)])
    (wrong / "labels.csv").write_text("picture,kind\n0.jpg,1\n")
    for data, says in (("cells.npz", "train_labels"), ("table/labels.csv", "expected image and label")):
        assert says in told(shell, "train", "blood-cell-classifier", "--data", data, "--set", "weights=none")
    assert not (shell.folder / "mlflow.db").exists()


def test_a_wrong_label_stops_train_with_its_place(shell: Shell) -> None:
    (yolo(shell.folder / "rail") / "labels/train/train0.txt").write_text("0 2.5 0.5 0.1 0.1\n")
    line = told(shell, "train", "railway-detector", "--data", "rail", "--set", "weights=none")
    assert "rail/labels/train/train0.txt:1: coordinate 2.5 is outside 0..1" in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split", "0.5,0.5,0.5"], "add up to 1"),
        (["--split", "most,some"], "two or three numbers"),
        (["--group-pattern", "("], "regular expression"),
        (["--group-by", "ward"], "ward"),
        (["--group-by", "a", "--group-pattern", "b"], "only one of the two"),
    ],
)
def test_a_conversion_that_cannot_be_is_told(options: list[str], says: str, shell: Shell) -> None:
    class_folders(shell.folder / "pool", splits={".": 9})
    assert says in told(shell, "data", "convert", "pool", "--to", "imagefolder", "--out", "out", *options)
    assert not (shell.folder / "out").exists()


def test_s3_without_credentials_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(shell.folder))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    done = shell.run("data", "check", "s3://bucket/prefix")
    assert done.returncode == 2
    assert "AWS_ACCESS_KEY_ID" in done.stdout
    assert "Traceback" not in done.stderr


def heed_permissions() -> None:
    """Give up root's right to pass over permissions; takes effect in the program that is started next."""
    drop_from_bounding_set, pass_over_permissions, read_anything = 24, 1, 2
    for right in (pass_over_permissions, read_anything):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0)


def run_as_plain_user(shell: Shell, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = shell.start(
        *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_permissions
    )
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def forbid_writing(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_folder_that_cannot_be_written_is_checked_and_converted(shell: Shell) -> None:
    folder = yolo(shell.folder / "set")
    before = state(folder)
    forbid_writing(folder)
    assert run_as_plain_user(shell, "data", "check", "set").stdout == "no faults found\n"
    done = run_as_plain_user(shell, "data", "convert", "set", "--to", "yolo", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert state(folder) == before
    shutil.rmtree(shell.folder / "out")  # what was copied from a read-only folder can be removed


@pytest.mark.parametrize("locked", ["data.yaml", "images/train", "labels/train/train0.txt", "labels/train"])
def test_a_place_that_cannot_be_read_is_named(locked: str, shell: Shell) -> None:
    place = yolo(shell.folder / "set") / locked
    place.chmod(0)
    line = one_line(run_as_plain_user(shell, "data", "check", "set"))
    assert locked in line
    assert "Permission denied" in line
    place.chmod(0o755)


def test_a_picture_that_cannot_be_read_is_one_of_the_faults(shell: Shell) -> None:
    (yolo(shell.folder / "set") / "images/val/val1.jpg").chmod(0)
    done = run_as_plain_user(shell, "data", "check", "set")
    assert done.returncode == 2
    assert "val1.jpg: cannot be read: Permission denied" in done.stdout


def test_a_place_that_cannot_be_written_to_is_named(shell: Shell) -> None:
    yolo(shell.folder / "set")
    locked = shell.folder / "locked"
    locked.mkdir(mode=0o555)
    convert = ("data", "convert", "set", "--to", "yolo", "--out", "locked/out")
    for arguments in (convert, ("data", "demo", "oct-detector", "--size", "tiny", "--out", "locked/out")):
        assert "locked" in one_line(run_as_plain_user(shell, *arguments))
    shell.folder.chmod(0o555)
    line = one_line(run_as_plain_user(shell, "data", "check", "set"))
    shell.folder.chmod(0o755)
    assert ".mlops" in line
    assert "Permission denied" in line


def test_what_remembers_digests_may_be_damaged_or_locked_and_is_named(shell: Shell) -> None:
    yolo(shell.folder / "set")
    shell.succeed("data", "check", "set")
    memory = shell.folder / ".mlops/cache/digests.db"
    memory.write_bytes(b"no database at all" * 100)
    assert "digests.db: file is not a database" in told(shell, "data", "check", "set")
    memory.chmod(0)
    assert "digests.db: unable to open" in one_line(run_as_plain_user(shell, "data", "check", "set"))
    memory.unlink()
    shell.succeed("data", "check", "set")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True
        ).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_nothing_half_written_is_left(shell: Shell, small_disk: Path) -> None:
    yolo(shell.folder / "set", {"train": 60, "val": 3})
    line = told(shell, "data", "convert", "set", "--to", "yolo", "--out", str(small_disk / "out"))
    assert "no space left" in line
    assert list(small_disk.iterdir()) == []
    line = told(shell, "data", "demo", "oct-detector", "--out", str(small_disk / "out"))
    assert "no space left" in line
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_below_the_cache_is_told(
    shell: Shell, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yolo(shell.folder / "set", {"train": 60, "val": 3})
    (small_disk / "filler").write_bytes(b"x" * 40_000)
    monkeypatch.setattr(Shell, "environment", shell.environment | {"MLOPS_HOME": str(small_disk / "home")})
    line = told(shell, "data", "check", "set")
    assert "no space left" in line
    assert str(small_disk) in line
