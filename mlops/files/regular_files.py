"""Open files that a user or a data set names: regular ones only, so that no read waits or never ends."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, Literal

from mlops.errors import DataFault, UserError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# what caches call a file: DVC's (the MD5 without its first two digits), Hugging Face's, git-annex's
_BY_CONTENT = re.compile(r"(?:[A-Z0-9]+-s\d+--)?[0-9a-f]{30,128}")
_SAME_SUFFIX = {".yml": ".yaml", ".tsv": ".csv", ".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}


def odd_kind(path: Path) -> str:
    """What `path` is ("a named pipe"); "" for a regular file, a folder, and where there is nothing."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (the same for every path of a data set)
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _kind(mode)


def is_regular(path: Path) -> bool:
    """Whether `path` is a regular file or a link to one; False for a name that no file can have.

    Raises PermissionError for a folder that may not be entered.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (twice as fast, once for each image)
    except PermissionError:
        raise
    except (OSError, ValueError):  # too long, a NUL character, a loop of links
        return False


def exists(path: Path) -> bool:
    """Whether there is anything at `path`; False for a name that no file can have.

    Raises PermissionError for a folder that may not be entered.
    """
    try:
        os.stat(path)  # noqa: PTH116
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    return True


def open_regular(file: Path, fault: type[UserError] = DataFault) -> BinaryIO:
    """Open a regular file, without ever waiting. Raises `fault` for anything else; OSError."""
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116 (a device is not opened: that alone can have effects)
        if stat.S_ISREG(mode):
            opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_ISREG(mode):
                return opened
            opened.close()
    except ValueError as error:  # a NUL character
        raise fault(f"{file}: not a valid path") from error
    raise fault(f"{file} is {_kind(mode)}; expected a file")


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "a special file")


def refuse_odd(path: Path, what: str, fault: type[UserError] = UserError) -> None:
    """Raise `fault` if `path` is a pipe, socket or device. what: the setting, for the message."""
    kind = odd_kind(path)
    if kind:
        raise fault(f"{what}: {path} is {kind}; expected a file")


def read_regular(
    file: Path,
    most_bytes: int,
    fault: type[UserError] = DataFault,
    *,
    nul: Literal["refuse", "cut"] = "refuse",
) -> bytearray:
    """The content of a text document. Raises `fault` for a larger file or a NUL byte; OSError.

    NUL bytes are found while reading: a sparse file of any size is refused at once.
    nul: "cut" ends the content with the first one; a power cut leaves them at the end of a file.
    """
    refuse_foreign_target(file, fault)
    with open_regular(file, fault) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > most_bytes:
            raise fault(f"{file}: {size:,} bytes; at most {most_bytes:,} are read for this kind of file")
        content, filled = bytearray(size), 0
        view = memoryview(content)
        while filled < size:
            count = opened.readinto(view[filled : filled + _CHUNK])  # type: ignore[attr-defined]
            if not count:
                break  # shortened meanwhile
            found = content.find(b"\0", filled, filled + count)
            filled = filled + count if found < 0 else found + 1
            if found >= 0:
                break
        if filled and content[filled - 1] == 0 and nul == "refuse":
            raise fault(f"{file}: contains NUL bytes; not a text file in UTF-8")
        view.release()
        del content[filled:]
    return content


_CHUNK = 1 << 20


_QUOTABLE: ContextVar[tuple[str, ...]] = ContextVar("_QUOTABLE", default=())


@contextmanager
def reading_below(folder: Path) -> Iterator[None]:
    """In this block, messages quote only files below `folder` and below what `quote_below` adds."""
    token = _QUOTABLE.set((os.path.realpath(folder),))
    try:
        yield
    finally:
        _QUOTABLE.reset(token)


def quote_below(folder: Path) -> None:
    """Add a folder that the data set declares by its path, until `reading_below` ends."""
    if _QUOTABLE.get():
        _QUOTABLE.set((*_QUOTABLE.get(), os.path.realpath(folder)))


def leads_out(file: Path) -> bool:
    """Whether `file` is a link, or lies behind one out of the data set; messages do not quote such files."""
    try:
        if os.path.islink(file):  # noqa: PTH114
            return True
        quotable = _QUOTABLE.get()
        return bool(quotable) and not any(
            Path(os.path.realpath(file)).is_relative_to(each) for each in quotable
        )
    except ValueError:
        return False


def is_link(file: Path) -> bool:
    try:
        return os.path.islink(file)  # noqa: PTH114
    except ValueError:  # a NUL character
        return False


def refuse_foreign_target(file: Path, fault: type[UserError] = DataFault) -> None:
    """Raise `fault` for a link whose target is not the kind of file that its name says.

    `labels.csv` may link to `v2/labels.csv` or to a file that a cache names by its content, not to `.netrc`.
    """
    if not is_link(file):
        return
    target = Path(os.path.realpath(file))
    kinds = [_SAME_SUFFIX.get(each.suffix.lower(), each.suffix.lower()) for each in (file, target)]
    if kinds[0] != kinds[1] and not _BY_CONTENT.fullmatch(target.name):
        raise fault(f"{file} links to {target}, which is not a {file.suffix or 'data'} file; it is not read")
