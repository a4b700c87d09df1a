"""What a pickle inside a model's files could call, found by reading it, never by loading it.

A pickle is a program: loading it calls whatever it names. Here its opcodes are listed (`pickletools`), and
every name outside a short list, from which only tensors, numbers and plain containers are made, is unsafe.
The list is that of torch's own weights-only loader. A file is taken for a pickle by its content or its
suffix; a zip (what `torch.save` writes) is looked into.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".dill", ".npy", ".pt2"}
_MAGIC = re.compile(rb"\x80[\x02-\x05]")
_NUMPY = b"\x93N"
_SAFE = re.compile(
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


def unsafe_in(file: Path) -> tuple[str, ...]:
    """Names, sorted, that a pickle in `file` could call; () where there is none. Raises OSError.

    A file that is called a pickle and cannot be read to its end gives "unreadable": what cannot be judged is
    not safe. One that only begins like a pickle, as a tensor's bytes may by chance, gives the names alone.
    """
    if zipfile.is_zipfile(file):
        return tuple(sorted(set(_in_zip(file))))
    with file.open("rb") as opened:
        start = opened.read(2)
    if start == _NUMPY:
        return tuple(sorted(set(_in_array(file.read_bytes()))))
    called = file.suffix.lower() in _SUFFIXES
    if not called and not _MAGIC.match(start):
        return ()
    return tuple(sorted(set(_unsafe(file.read_bytes(), called))))


def _in_zip(file: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as opened:
                    start = opened.read(2)
                called = Path(member.filename).suffix.lower() in (".pkl", ".pickle")
                if called or _MAGIC.match(start):
                    yield from _unsafe(archive.read(member), called)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        yield "unreadable"


def _in_array(content: bytes) -> Iterator[str]:
    """A `.npy`: a header of a length that it states, then plain numbers, or a pickle of objects."""
    wide = 2 if content[6:7] == b"\x01" else 4
    begin = 8 + wide
    end = begin + int.from_bytes(content[8:begin], "little")
    if b"O" in content[begin:end].partition(b"descr")[2].partition(b",")[0]:
        yield from _unsafe(content[end:], called=True)


def _unsafe(content: bytes, called: bool) -> Iterator[str]:
    """One pickle after another, as older `torch.save` wrote them; stops at the data that follow.

    called: its name says that it is a pickle.
    """
    rest, first = content, True
    while first or _MAGIC.match(rest[:2]):
        end, names = 0, _Names()
        try:
            for code, given, at in pickletools.genops(rest):
                end = (at or 0) + 1
                name = names.looked_up(code.name, given)
                if name and not _SAFE.fullmatch(name):
                    yield name
        except (ValueError, IndexError, EOFError):
            if called:
                yield "unreadable"
            return
        rest, first = rest[end:], False


class _Names:
    """Follows the strings of one pickle as far as names need it.

    STACK_GLOBAL takes module and name off the stack. They are believed only where both were pushed right
    before it, anew or from the memo; a name that is put together in any other way is unsafe.
    """

    def __init__(self) -> None:
        self._pushed: list[str] = []
        self._memo: dict[int, str | None] = {}

    def looked_up(self, code: str, given: object) -> str:
        """The name that an opcode looks up; "" for one that looks up none."""
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
            self._pushed.append(str(given))
        elif code == "MEMOIZE":
            self._memo[len(self._memo)] = self._pushed[-1] if self._pushed else None
        elif code in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[int(str(given))] = self._pushed[-1] if self._pushed else None
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            known = self._memo.get(int(str(given)))
            self._pushed = [*self._pushed, known] if known is not None else []
        elif code not in ("FRAME", "PROTO"):
            self._pushed.clear()


_PUT_TOGETHER = "a name that is put together while loading"
_STRINGS = (
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
)
