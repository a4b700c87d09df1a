"""Find what a pickle in a file could call, without loading it.

A pickle is a program: loading it calls the functions that it names. Its opcodes are listed (`pickletools`),
and every name outside a short list is unsafe. The list is that of torch's weights-only loader, whose names
create only tensors, numbers and plain containers. A file counts as a pickle by its content, its suffix, or if
the caller is going to load it. Zip files (as written by `torch.save`) are searched.
"""

from __future__ import annotations

import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

SAFE = re.compile(
    r"collections\.(OrderedDict|Counter)"
    r"|(builtins|__builtin__)\.(set|frozenset|bytearray|complex|dict|list|tuple)"
    r"|_codecs\.encode"
    r"|torch\.((cuda\.|sparse\.)?\w+(Tensor|Storage)|Size|device|Tensor)"
    r"|torch\.(u?int\d+|b?float\d*\w*|complex\d+|bool|double|half|long|short|bfloat16)"
    r"|torch\.storage\.(TypedStorage|UntypedStorage)"
    r"|torch\.nn\.parameter\.Parameter"
    r"|torch\.serialization\._get_layout"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor)"
    r"|torch\._tensor\._rebuild_from_type_v2"
    r"|numpy\.(dtype|ndarray)"
    r"|numpy\.(_?core)\.multiarray\.(_reconstruct|scalar)"
)
# a checkpoint of the library is a whole network: layers of torch and of the library, all of them classes
LAYERS = re.compile(
    rf"{SAFE.pattern}"
    r"|torch\.nn\.modules\.(\w+\.)?[A-Z]\w*"
    r"|ultralytics\.nn\.(tasks|modules)\.(\w+\.)?[A-Z]\w*"
    r"|ultralytics\.(utils|yolo\.utils)\.IterableSimpleNamespace"
    r"|mlops\.training\.joint\.(joint_)?network\.(JointModel|ImageHead)"
    r"|pathlib\.(Pure)?(Posix|Windows)?Path"
)
_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".dill", ".npy", ".pt2"}
_MAGIC = re.compile(rb"\x80[\x02-\x05]")
_NUMPY, _ZIP = b"\x93N", b"PK\x03\x04"
_MOST_BYTES, _MOST_OPCODES = 64 << 20, 2_000_000
_OLD_TORCH = 0x1950A86A20F9469CFC6C
_OLD_TORCH_PICKLES = 5  # magic number, protocol, system, the object, its storages


def unsafe_in(file: Path, *, loaded: bool = False, allowed: re.Pattern[str] = SAFE) -> tuple[str, ...]:
    """Sorted names that a pickle in `file` could call; () if there are none. Raises OSError.

    loaded: the file is going to be loaded as a pickle, whatever its name. allowed: safe names
    (`module.name`), a full match.
    A file with the suffix of a pickle that cannot be read to its end gives "unreadable", as it may be unsafe.
    A file that only begins like a pickle, as a tensor's bytes may by chance, gives only the names.
    """
    called = loaded or file.suffix.lower() in _SUFFIXES
    return tuple(sorted(set(_named(file, called, allowed, _Budget()))))


def unsafe_names(content: bytes, *, allowed: re.Pattern[str] = SAFE) -> tuple[str, ...]:
    """As `unsafe_in`, for a pickle's bytes."""
    return tuple(sorted(set(_unsafe(content, True, allowed, _Budget()))))


def unsafe_in_checkpoint(file: Path) -> tuple[str, ...]:
    """Names other than layers and tensors that loading `file` could call, found without loading it."""
    return tuple(
        dict.fromkeys((*unsafe_in(file, loaded=True, allowed=LAYERS), *_unsafe_as_torch_reads(file)))
    )


def _unsafe_as_torch_reads(file: Path) -> tuple[str, ...]:
    """The same for the pickle that torch's reader finds in a zip, as two readers may find different ones."""
    from mlops.training.torch_internals import pickle_in

    pickled = pickle_in(file)
    return () if pickled is None else unsafe_names(pickled, allowed=LAYERS)


def _named(file: Path, called: bool, allowed: re.Pattern[str], budget: _Budget) -> Iterator[str]:
    with file.open("rb") as opened:
        start = opened.read(4)
    if zipfile.is_zipfile(file):
        yield from _in_zip(file, allowed, budget)
        if start == _ZIP:
            return  # else it may be another format with an archive appended
    if start.startswith(_NUMPY):
        yield from _in_array(file.read_bytes(), allowed, budget)
    elif called and tarfile.is_tarfile(file):
        yield "a tar archive, from which old torch loads pickles"
    elif called or _MAGIC.match(start):
        yield from _unsafe(file.read_bytes(), called, allowed, budget)


def _in_zip(file: Path, allowed: re.Pattern[str], budget: _Budget) -> Iterator[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as opened:
                    start = opened.read(2)
                called = Path(member.filename).suffix.lower() in (".pkl", ".pickle")
                if member.file_size > _MOST_BYTES:  # a tensor may be as large, and begin in any way
                    if called:
                        yield f"a pickle of more than {_MOST_BYTES >> 20} MiB"
                elif start == _NUMPY:
                    yield from _in_array(archive.read(member), allowed, budget)
                elif called or _MAGIC.match(start):
                    yield from _unsafe(archive.read(member), called, allowed, budget)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        yield "unreadable"


def _in_array(content: bytes, allowed: re.Pattern[str], budget: _Budget) -> Iterator[str]:
    """A `.npy`: a header with its length, then plain numbers, or a pickle of objects."""
    wide = 2 if content[6:7] == b"\x01" else 4
    begin = 8 + wide
    end = begin + int.from_bytes(content[8:begin], "little")
    if b"O" in content[begin:end].partition(b"descr")[2].partition(b",")[0]:
        yield from _unsafe(content[end:], True, allowed, budget)


def _unsafe(content: bytes, called: bool, allowed: re.Pattern[str], budget: _Budget) -> Iterator[str]:
    """Consecutive pickles, as older `torch.save` wrote them; stops at the data after them.

    called: its name has the suffix of a pickle. After the first pickle of an old torch file, the next four
    are always read as pickles.
    """
    rest, read, least = content, 0, 1
    while read < least or _MAGIC.match(rest[:2]):
        end, names = 0, _Names()
        try:
            for code, given, at in pickletools.genops(rest):
                end = (at or 0) + 1
                budget.opcodes -= 1
                if budget.opcodes < 0:
                    yield f"more than {_MOST_OPCODES:,} instructions"
                    return
                if given == _OLD_TORCH:
                    least = _OLD_TORCH_PICKLES
                name = names.looked_up(code.name, given)
                if name and not allowed.fullmatch(name):
                    yield name
        except (ValueError, IndexError, EOFError):
            if called:
                yield "unreadable"
            return
        rest, read = rest[end:], read + 1


class _Budget:
    """What is listed of one file; Ultralytics' largest checkpoint has 200,000 instructions."""

    def __init__(self) -> None:
        self.opcodes = _MOST_OPCODES


class _Names:
    """Tracks the strings of one pickle that form names.

    STACK_GLOBAL takes module and name from the stack. They are accepted only if both were pushed directly
    before it, as strings or from the memo; a name that is built in any other way is unsafe.
    """

    def __init__(self) -> None:
        self._pushed: list[str] = []
        self._memo: dict[int, str | None] = {}

    def looked_up(self, code: str, given: object) -> str:
        """The name that an opcode looks up; "" for other opcodes."""
        if code in ("GLOBAL", "INST"):
            self._pushed.clear()
            return str(given).replace(" ", ".", 1)
        if code == "STACK_GLOBAL":
            name = ".".join(self._pushed[-2:]) if len(self._pushed) >= 2 else _PUT_TOGETHER
            self._pushed.clear()
            return name
        if code in ("EXT1", "EXT2", "EXT4"):
            return f"extension {given}"
        self._follow(code, given)
        return ""

    def _follow(self, code: str, given: object) -> None:
        if code in _STRINGS:
            self._pushed = [*self._pushed[-1:], str(given)]
        elif code == "MEMOIZE":
            self._memo[len(self._memo)] = self._pushed[-1] if self._pushed else None
        elif code in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[int(str(given))] = self._pushed[-1] if self._pushed else None
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            known = self._memo.get(int(str(given)))
            self._pushed = [*self._pushed[-1:], known] if known is not None else []
        elif code not in ("FRAME", "PROTO"):
            self._pushed.clear()


_PUT_TOGETHER = "a name that is built while loading"
_STRINGS = (
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
)
