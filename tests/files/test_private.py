"""The home and its folders are for their owner alone; a folder of the user's own keeps its permissions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.files.private import is_open_to_others, private_file, private_folder, private_home
from mlops.tracking import Tracker


@pytest.fixture(params=[0o000, 0o022, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    assert mode(private_folder(tmp_path / "home")) == 0o700
    private_file(tmp_path / "home" / "log")
    assert mode(tmp_path / "home" / "log") == 0o600


def test_the_outbox_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Tracker(tmp_path / "home", "http://127.0.0.1:9", deliver=False) as tracker:
            tracker.start_run("r", experiment="e", name="n")
            made = [tmp_path / "home", *(tmp_path / "home").iterdir()]
            assert [path for path in made if is_open_to_others(path)] == []
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", [".mlops", "home"])
def test_a_home_of_an_earlier_release_is_closed(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "spool").mkdir(parents=True)
    (tmp_path / name).chmod(0o755)
    assert mode(private_home(tmp_path / name)) == 0o700


def test_a_folder_with_other_uses_keeps_its_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o775)
    (shared / "thesis.tex").touch()
    assert mode(private_home(shared)) == 0o775
    (shared / "thesis.tex").unlink()
    (shared / "inside").mkdir()
    monkeypatch.chdir(shared / "inside")
    assert mode(private_home(shared)) == 0o775, "it is above the working directory"
    monkeypatch.chdir(tmp_path)
    (shared / "inside").rmdir()
    monkeypatch.setenv("HOME", str(shared))
    assert mode(private_home(shared)) == 0o775, "it is the user's own"


def test_missing_parents_of_a_home_are_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        private_home(tmp_path / "projects" / "home")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "projects"), mode(tmp_path / "projects" / "home")) == (0o755, 0o700)


def test_a_file_in_the_place_of_the_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(FileExistsError):
        private_home(tmp_path / "home")
