"""A file or folder is the old one or the new one: after an error, after a kill, and with two writers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from mlops.files.atomic import Existing, folder_beside, move_folder, new_folder, partial_file, write_durably


def killed_in(work: Callable[[], object]) -> None:
    """Run `work` in a forked child, which it is to kill."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder`, and what it holds."""
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"old")
    write_durably(tmp_path / "a", b"new")
    assert tree(tmp_path) == {"a": "new"}


def test_a_file_keeps_its_content_when_writing_fails(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"old")
    with pytest.raises(ValueError, match="no"), partial_file(tmp_path / "a") as partial:
        partial.write_text("half")
        raise ValueError("no")
    assert tree(tmp_path) == {"a": "old"}


def test_a_file_keeps_its_content_when_its_writer_is_killed(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"old")

    def write() -> None:
        with partial_file(tmp_path / "a") as partial:
            partial.write_text("half")
            kill()

    killed_in(write)
    assert (tmp_path / "a").read_text() == "old"
    write_durably(tmp_path / "a", b"new")
    assert tree(tmp_path) == {"a": "new"}, "what the killed writer left is written over"


def test_a_file_in_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing/\.a\.partial"):
        write_durably(tmp_path / "missing" / "a", b"")


@pytest.mark.parametrize("existing", get_args(Existing))
@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
def test_a_new_folder_appears_at_the_end(tmp_path: Path, existing: Existing, there: str) -> None:
    target = tmp_path / "more" / "target"
    if there == "an empty folder":
        target.mkdir(parents=True)
    with new_folder(target, existing) as work:
        (work / "a").write_text("new")
        assert not (target / "a").exists()
    assert tree(tmp_path) == {"more/target/a": "new"}


def test_a_new_folder_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with new_folder(tmp_path / "target", "refuse"):
        pass
    assert (tmp_path / "target").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_new_folder_stays_where_it_was_asked_for_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with new_folder(Path("target"), "refuse"):
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert (tmp_path / "target").is_dir()


def test_an_existing_folder_is_kept_replaced_or_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").write_text("old")
    with new_folder(target, "keep") as work:
        (work / "b").write_text("new")
    assert tree(tmp_path) == {"target/a": "old"}
    with pytest.raises(OSError, match=str(target)), new_folder(target, "refuse") as work:
        (work / "b").write_text("new")
    assert tree(tmp_path) == {"target/a": "old"}
    with new_folder(target, "replace") as work:
        (work / "b").write_text("new")
    assert tree(tmp_path) == {"target/b": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("existing", get_args(Existing))
def test_a_file_in_a_folders_place_is_an_error_and_stays(tmp_path: Path, existing: Existing) -> None:
    (tmp_path / "target").write_text("a file")
    with pytest.raises(NotADirectoryError, match="target"), new_folder(tmp_path / "target", existing):
        pass
    assert tree(tmp_path) == {"target": "a file"}


@pytest.mark.parametrize("existing", get_args(Existing))
def test_nothing_changes_when_the_block_raises(tmp_path: Path, existing: Existing) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "target", existing) as work:
        (work / "b").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"target/a": "old"}


def test_a_replaced_folder_is_put_back_when_the_new_one_cannot_be_moved(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text("old")
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "target", "replace") as work:
        work.rmdir()
    assert tree(tmp_path) == {"target/a": "old"}


def test_a_folder_is_the_old_one_when_its_writer_is_killed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").write_text("old")

    def write() -> None:
        with new_folder(target, "replace") as work:
            (work / "a").write_text("half")
            kill()

    killed_in(write)
    assert tree(target) == {"a": "old"}
    assert all(path == target or path.name.startswith(".target-") for path in tmp_path.iterdir())


def test_of_two_that_make_a_folder_at_once_one_prevails(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with folder_beside(target) as first, folder_beside(target) as second:
        for work in (first, second):
            (work / "a").write_text("the same")
        move_folder(first, target, "keep")
        move_folder(second, target, "keep")
    assert tree(tmp_path) == {"target/a": "the same"}
