"""Tensors and plain values in one safetensors file, the only kind of file that a training resumes from.

The values are JSON in the file's metadata. A tensor inside them is stored under a name of its own, and stands
in the JSON as `{"tensor": name}` (`{"channels_last": name}` in that layout); a dictionary whose keys are not
all texts as `{"pairs": [[key, value]]}`, a tuple as `{"tuple": [...]}`. Nothing in such a file is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import UnsafeWeights
from mlops.files.atomic import partial_file

if TYPE_CHECKING:
    from torch import Tensor

_MARKS = ("tensor", "channels_last", "pairs", "tuple")


def write_tensors(file: Path, tensors: Mapping[str, Tensor], **values: Any) -> None:
    """Write `tensors` under their names and each of `values` as one entry of the metadata, atomically.

    values: numbers, texts, None, and lists, tuples and dictionaries of them and of tensors.
    Raises TypeError for another kind of value.

    >>> import tempfile, torch
    >>> file = Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> write_tensors(file, {"w": torch.ones(2)}, state={"epoch": 3, 0: torch.zeros(1)})
    >>> tensors, values = read_tensors(file)
    >>> tensors["w"].tolist(), values["state"][0].tolist(), values["state"]["epoch"]
    ([1.0, 1.0], [0.0], 3)
    """
    from safetensors.torch import save_file

    stored = {name: _alone(tensor) for name, tensor in tensors.items()}
    metadata = {key: json.dumps(_packed(value, key, stored)) for key, value in values.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(file) as partial:
        save_file(stored, partial, metadata=metadata)


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the values of a file that `write_tensors` wrote.

    A tensor that belongs to a value is only there. Raises UnsafeWeights for a file of another kind or one
    that is damaged, OSError for one that cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        with safe_open(file, framework="pt") as held:
            metadata = held.metadata() or {}
            tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 - no mapping
        used: set[str] = set()
        values = {key: _unpacked(json.loads(text), tensors, used) for key, text in metadata.items()}
    except (SafetensorError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError) as error:
        raise UnsafeWeights(f"{file} is not a safetensors file of a training: {error}") from error
    return {name: tensor for name, tensor in tensors.items() if name not in used}, values


def _alone(tensor: Tensor) -> Tensor:
    """A copy with memory of its own: safetensors stores no tensor that is part of another."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _is_channels_last(tensor: Tensor) -> bool:
    return (
        tensor.ndim == 4
        and not tensor.is_contiguous()
        and tensor.is_contiguous(memory_format=_channels_last())
    )


def _channels_last() -> Any:
    import torch

    return torch.channels_last


def _packed(value: Any, name: str, stored: dict[str, Tensor]) -> Any:
    import torch

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        stored[name] = _alone(value)
        # on another layout a computation may round otherwise: a resumed training would not be the same
        return {"channels_last" if _is_channels_last(value) else "tensor": name}
    if isinstance(value, Mapping):
        inside = [(key, _packed(each, f"{name}.{key}", stored)) for key, each in value.items()]
        plain = all(isinstance(key, str) for key in value) and not set(value) & set(_MARKS)
        return dict(inside) if plain else {"pairs": [list(pair) for pair in inside]}
    if isinstance(value, list | tuple):
        inside = [_packed(each, f"{name}.{index}", stored) for index, each in enumerate(value)]
        return inside if isinstance(value, list) else {"tuple": inside}
    raise TypeError(f"{name} is a {type(value).__name__}, which is neither a tensor nor a plain value")


def _unpacked(value: Any, tensors: Mapping[str, Tensor], used: set[str]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, tensors, used) for each in value]
    if not isinstance(value, dict):
        return value
    mark = next(iter(value), "") if len(value) == 1 else ""
    if mark in ("tensor", "channels_last"):
        used.add(value[mark])
        found = tensors[value[mark]]
        return found if mark == "tensor" else found.contiguous(memory_format=_channels_last())
    if mark == "pairs":
        return {key: _unpacked(each, tensors, used) for key, each in value[mark]}
    if mark == "tuple":
        return tuple(_unpacked(each, tensors, used) for each in value[mark])
    return {key: _unpacked(each, tensors, used) for key, each in value.items()}
