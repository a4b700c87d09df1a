"""The interface of an export format, and its input."""

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
    """A format cannot be written here; the message is the reason, such as a missing library or device."""


class NotRun(MlopsError):
    """A written file cannot be run on this machine; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Original:
    """A version, as the input of every format.

    onnx: its ONNX file; the digest matches the one recorded by training.
    preprocessing: how to prepare an image and what the outputs are (tag `mlops.preprocessing`).
    network: the trained torch network on the CPU, from images (N, 3, side, side) in 0..1 to the same
        output as `onnx`; None if its weights are not available, for the reason `no_network`.
    calibration: `calibrates` prepared training images, (3, side, side) float32 each; used only for int8.
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
        """Side length of the square network input, in pixels."""
        return int(self.preprocessing["side"])


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a session; a str or None in the shape is a dynamic dimension."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class Session(Protocol):
    """A loaded file with the interface of ONNX Runtime's `InferenceSession`, for any runtime."""

    def get_inputs(self) -> Sequence[Port]: ...

    def get_outputs(self) -> Sequence[Port]: ...

    def run(
        self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]
    ) -> Sequence[NDArray[Any]]: ...


class Format(Protocol):
    """An export format. Holds no state between calls.

    precisions: the supported ones.
    """

    name: str
    precisions: tuple[Precision, ...]

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        """Write the version below `folder`, with its preprocessing in the file's metadata.

        Returns the path to open: a file, or a folder if the format is one. Raises NotMade; any other
        exception of a converter is treated the same, and incomplete files are removed.
        """
        ...

    def open(self, made: Path, *, score: float | None = None) -> Session:
        """Load it on this machine. Raises NotRun.

        score: replaces the score threshold of a detector with embedded NMS.
        """
        ...

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        """The preprocessing in the file, as written by `make`."""
        ...


@dataclass(frozen=True, slots=True)
class CallSession:
    """A session around a function from images (N, 3, side, side) float32 to the outputs, in order."""

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
    """The first line of an error message, as libraries write long ones."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def file_name(precision: Precision, suffix: str) -> str:
    """`model.onnx` (fp32), `model.int8.onnx`.

    >>> file_name(Precision.INT8, ".onnx")
    'model.int8.onnx'
    """
    return f"model{suffix}" if precision is Precision.FP32 else f"model.{precision}{suffix}"
