"""Read a torch checkpoint as data: its tensors, numbers and texts. None of its code runs.

A checkpoint is a pickle, and a pickle is a program that calls what it names. Here every name is looked up in
a short list from which tensors and plain containers are made. Any other name, a network's class included,
gives a `Recorded`: an object that keeps what the pickle would have given to it, and does nothing with it.
"""

from __future__ import annotations

import collections
import pickle
import re
import types
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import UnsafeWeights
from mlops.training.torch_internals import tensor_builders

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = {"set": set, "frozenset": frozenset, "list": list, "tuple": tuple, "dict": dict, "complex": complex}
_NUMBER = re.compile(r"[<>|=]?[biuf][1248]")
_MOST_BYTES = 4 << 30


class Recorded:
    """An object of the pickle that was not made: the class's name, its arguments and its state.

    `name` is `module.Class`; `arguments` what it was to be called with; `state` its attributes.
    """

    name = ""

    def __new__(cls, *arguments: Any, **named: Any) -> Recorded:
        made = super().__new__(cls)
        made.arguments, made.state, made.items = (*arguments, *named.values()), {}, []
        return made

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments: tuple[Any, ...]
        self.state: dict[str, Any]
        self.items: list[Any]

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, Mapping):
                self.state.update({str(key): value for key, value in part.items()})

    def __call__(self, *arguments: Any, **named: Any) -> Recorded:
        return Recorded(*arguments, **named)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, value: Any) -> None:
        self.items.append(value)

    def extend(self, values: Any) -> None:
        self.items.extend(values)


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        import torch

        builders = tensor_builders()
        if module in ("builtins", "__builtin__") and name in _PLAIN:
            return _PLAIN[name]
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if module == "torch._utils" and name in builders:
            return builders[name]
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
            return _number
        if (module, name) == ("_codecs", "encode"):
            return _bytes
        if module == "torch" and name in ("Size", "device"):
            return getattr(torch, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        return type("Recorded", (Recorded,), {"name": f"{module}.{name}"})


def _bytes(text: Any, encoding: Any) -> Any:
    """How pickles of protocol 2 write bytes."""
    return text.encode("latin1") if isinstance(text, str) and encoding == "latin1" else Recorded(text)


def _number(kind: Any, data: Any) -> Any:
    """A numpy number as Python's; its type comes as a `Recorded`, so that no state is given to numpy."""
    import numpy as np

    text = kind.arguments[0] if isinstance(kind, Recorded) and kind.arguments else ""
    if not isinstance(data, bytes) or not _NUMBER.fullmatch(str(text)):
        return Recorded(kind, data)
    return np.frombuffer(data, np.dtype(text))[0].item()


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a checkpoint that `torch.save` wrote: plain values, tensors on the CPU, and `Recorded`.

    Raises UnsafeWeights for a file of another kind (TorchScript, tar, no checkpoint) or one that is damaged,
    OSError for one that cannot be read.
    """
    import torch

    _check_archive(file)
    reader = types.SimpleNamespace(Unpickler=_DataUnpickler, load=_load, __name__="checkpoint_reader")
    try:
        content = torch.load(file, map_location="cpu", pickle_module=reader, weights_only=False)
    except OSError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnsafeWeights(f"{file} is not a readable checkpoint: {reason}") from error
    if not isinstance(content, dict):
        raise UnsafeWeights(
            f"{file} holds a {type(content).__name__}, expected the dictionary of a checkpoint"
        )
    return {str(key): value for key, value in content.items()}


def _load(file: Any, **options: Any) -> Any:
    return _DataUnpickler(file, **options).load()


def _check_archive(file: Path) -> None:
    """Refuse what torch.load would hand to another reader than the one above, and archives that swell."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UnsafeWeights(f"{file} is not a checkpoint that torch 1.6 or newer wrote: {error}") from error
    if any(Path(member.filename).name == "constants.pkl" for member in members):
        raise UnsafeWeights(f"{file} is a TorchScript archive, which holds code; pass a checkpoint")
    if sum(member.file_size for member in members) > _MOST_BYTES:
        raise UnsafeWeights(f"{file} unpacks to more than {_MOST_BYTES >> 30} GiB")


def tensors_of(module: Any) -> dict[str, Tensor]:
    """The state dict of a recorded network: parameters and buffers by their dotted names."""
    return dict(_tensors(module, ""))


def _tensors(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    import torch

    if not isinstance(module, Recorded):
        return
    left_out = module.state.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, value in _named(module.state.get(group)):
            if isinstance(value, torch.Tensor) and name not in left_out:
                yield f"{prefix}{name}", value.detach()
    for name, child in _named(module.state.get("_modules")):
        yield from _tensors(child, f"{prefix}{name}.")


def _named(group: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(group, Mapping):
        yield from ((str(name), value) for name, value in group.items())


def with_tensors(value: Any) -> Any:
    """`value` without anything but plain values and tensors."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, dict):
        return {key: with_tensors(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_tensors(each) for each in value)
    return plain(value)


def plain(value: Any) -> Any:
    """`value` as numbers, texts, lists and dictionaries; a recorded path as its text, all else as None."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if isinstance(key, str | int | float)}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Recorded):
        if "Path" in value.name:
            return "/".join(str(each) for each in value.arguments)
        if value.name.endswith("IterableSimpleNamespace"):
            return plain(value.state)
    return None
