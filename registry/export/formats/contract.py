"""What one export format is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops.errors import MlopsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Precision(StrEnum):
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class NotMade(MlopsError):
    """A format that cannot be made here, and why: a library or a device that is not there."""


class NotRun(MlopsError):
    """A file that was made and cannot be run on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Original:
    """A version, as every format is made from it.

    onnx: its own file, whose digest was held against what training recorded.
    preprocessing: what a caller does to a picture, and what the outputs are (tag `mlops.preprocessing`).
    network: the trained torch network on the CPU, from pictures (N, 3, side, side) in 0..1 to the same
        output as `onnx`; None where its weights cannot be had, for the reason `no_network`.
    calibration: `calibrates` prepared train pictures, (3, side, side) float32 each; int8 alone asks for them.
    """

    name: str
    onnx: Path
    preprocessing: Mapping[str, Any]
    network: Any | None
    no_network: str
    calibration: Callable[[], Iterator[NDArray[np.float32]]]
    calibrates: int

    @property
    def side(self) -> int:
        """Of the square that the network takes, in pixels."""
        return int(self.preprocessing["side"])


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a session; shape with a text or None for a free side."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class Session(Protocol):
    """A file ready to run, in the terms of ONNX Runtime's `InferenceSession`, whatever runs it."""

    def get_inputs(self) -> Sequence[Port]: ...

    def get_outputs(self) -> Sequence[Port]: ...

    def run(
        self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]
    ) -> Sequence[NDArray[Any]]: ...


class Format(Protocol):
    """One way of writing a version. Holds no state between calls.

    precisions: those that it can be written in.
    """

    name: str
    precisions: tuple[Precision, ...]

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        """Write the version below `folder`, with its preprocessing in the file's own metadata.

        Returns what a user opens: a file, or a folder where the format is one. Raises NotMade; what else a
        converter raises counts as that, and what it has half written is taken away.
        """
        ...

    def open(self, made: Path, *, score: float | None = None) -> Session:
        """What runs it on this machine. Raises NotRun.

        score: from where a detector with its NMS inside gives boxes, in place of its own threshold.
        """
        ...

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        """What the file itself says of its preprocessing, as `make` wrote it."""
        ...


@dataclass(frozen=True, slots=True)
class CallSession:
    """A session around a function from pictures (N, 3, side, side) float32 to the outputs, in order."""

    takes: Port
    gives: tuple[Port, ...]
    call: Callable[[NDArray[Any]], Sequence[NDArray[Any]]]

    def get_inputs(self) -> Sequence[Port]:
        return (self.takes,)

    def get_outputs(self) -> Sequence[Port]:
        return self.gives

    def run(self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        answers = dict(zip((port.name for port in self.gives), self.call(feed[self.takes.name]), strict=True))
        return [answers[name] for name in names or answers]


def first_line(error: BaseException) -> str:
    """What a library says, which may go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def file_name(precision: Precision, suffix: str) -> str:
    """`model.onnx`, `model.int8.onnx`: fp32 is what is meant where nothing is said.

    >>> file_name(Precision.INT8, ".onnx")
    'model.int8.onnx'
    """
    return f"model{suffix}" if precision is Precision.FP32 else f"model.{precision}{suffix}"
