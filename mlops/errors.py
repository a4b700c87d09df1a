"""The exceptions that this package raises on purpose.

    MlopsError                    exit 1  something failed
    ├── UserError                 exit 2  the user can fix it: the message names what, where and how
    │   ├── BadSetting                    an invalid value in a system file, `--set` or an option
    │   ├── DataFault                     a data set that cannot be read or has errors
    │   ├── MissingWeights                pretrained weights that are not on disk and cannot be downloaded
    │   ├── UnsafeWeights                 a weights file that could run code; it is not loaded
    │   ├── StudyMismatch                 a study name used for other data, another system or space
    │   ├── RunFault                      a past run that cannot be imported
    │   ├── NotComparable                 results on other data or classes, or without per-sample results
    │   ├── DiskFull                      no disk space left
    │   ├── MissingPackage                a package that is not installed, with the pip command for it
    │   └── UnknownVersion                no such registered model, version or stage, or its files are missing
    ├── ServerUnavailable         exit 1  the tracking server does not answer
    │   └── NotAllowed                    this user lacks the permission; nothing was changed
    ├── GateRefused               exit 3  the evidence does not meet the policy's gates
    │   └── NotShown                      a comparison over nothing: no box, no annotated object
    ├── MoveLost                  exit 1  a concurrent stage change of the same model was first
    ├── LedgerBroken              exit 1  the ledger was altered; no stage change is accepted
    └── TrialFailed               exit 1  one training failed; the search continues
        ├── OutOfMemory                   out of device or host memory
        ├── Diverged                      a loss became NaN or infinite
        └── TrainingCrashed               any other error inside a training

A command prints the message on one line and exits with `exit_code` (see `mlops.cli.main`).
"""

from __future__ import annotations

import importlib.util
import reprlib
from typing import ClassVar

from mlops.redaction import redact


class _Shortened(reprlib.Repr):
    """`repr` for messages: of a few levels, items and characters, whatever the value holds."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, 160, 160, 60
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 12

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > 400:  # Python itself refuses to print more than 4300 digits
            return f"<a whole number of {value.bit_length()} bits>"
        return super().repr_int(value, level)


_SHORTENED = _Shortened()


def shown(value: object) -> str:
    """`value` as messages print it, in one short piece.

    >>> shown("a" * 1000 + "b")[-3:], shown([[[[[1]]]]]), shown(10**5000)
    ("ab'", '[[[[...]]]]', '<a whole number of 16610 bits>')
    """
    return _SHORTENED.repr(value)


def brief(problem: object) -> str:
    """Another library's message in one short line."""
    text = " ".join(str(problem).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


class MlopsError(Exception):
    """Base class. The message is one line: what is wrong, where, and what to do; without secrets."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *message: object) -> None:
        super().__init__(*(redact(each) if isinstance(each, str) else each for each in message))


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C. Not an MlopsError, so that no handler of failures catches it."""


class UserError(MlopsError):
    exit_code: ClassVar[int] = 2


class BadSetting(UserError):
    """An invalid setting: where it is, its value, and what is allowed."""

    def __init__(self, where: str, key: str, given: object, allowed: str) -> None:
        given = redact(given) if isinstance(given, str) else given
        self.where, self.key, self.given, self.allowed = where, key, given, allowed
        super().__init__(f"{where}: {key} is {shown(given)}; allowed: {allowed}")


class DataFault(UserError):
    """A data set that cannot be read, or whose check found errors."""


class MissingWeights(UserError):
    """Weights that are not on this machine and cannot be downloaded now."""


class UnsafeWeights(UserError):
    """A weights file that could run code when loaded."""


class StudyMismatch(UserError):
    """A study of this name exists for other data, another system or another space."""


class RunFault(UserError):
    """A past run's folder or file that cannot be imported."""


class NotComparable(UserError):
    """Results that cannot be compared: other samples or classes, no tables, or the same result twice."""


class DiskFull(UserError):
    """No disk space left; everything written before is safe."""

    def __init__(self, where: str, what: str) -> None:
        self.where, self.what = where, what
        super().__init__(
            f"no space left in {where} for {what}; free some space and run the command again "
            "(everything written before is kept)"
        )


# packages that an extra of ours installs; the base installation has none of them
EXTRA_OF = {
    **dict.fromkeys(("torch", "torchvision", "ultralytics", "timm", "lightning", "kornia"), "train"),
    **dict.fromkeys(("huggingface_hub", "onnxscript", "plotly", "safetensors"), "train"),
    **dict.fromkeys(("coremltools", "openvino"), "export"),
    "ray": "ray",
    "psycopg": "stack",
    "psycopg2": "stack",
    "pytorch_grad_cam": "explain",
    "torchjd": "surgery",
}


class MissingPackage(UserError):
    """A package that is not installed, with the pip command that installs it."""

    def __init__(self, what: str, package: str) -> None:
        self.package, self.extra = package, EXTRA_OF[package]
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install 'vision-mlops[{self.extra}]'"
        )


def require(what: str, *packages: str) -> None:
    """Raise MissingPackage for the first of `packages` that is not installed; none is imported."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(what, package)


class UnknownVersion(UserError):
    """A registered model, version or stage that does not exist, or a version whose files are missing."""


class ServerUnavailable(MlopsError):
    """The tracking server does not answer, or refuses the request."""


class NotAllowed(ServerUnavailable):
    """This user lacks the permission on the tracking server; nothing was changed."""


class GateRefused(MlopsError):
    """A version that does not pass its model's gates."""

    exit_code: ClassVar[int] = 3


class NotShown(GateRefused):
    """A comparison over nothing, which shows neither a difference nor equality."""


class MoveLost(MlopsError):
    """A stage change lost to a concurrent one of the same model; nothing was written."""


class LedgerBroken(MlopsError):
    """A ledger entry was changed, removed or inserted; `mlops registry verify` names it."""


class TrialFailed(MlopsError):
    """One training failed. `reason` is the value of the tag on its run."""

    reason: ClassVar[str] = "failed"


class OutOfMemory(TrialFailed):
    reason: ClassVar[str] = "out of memory"


class Diverged(TrialFailed):
    reason: ClassVar[str] = "diverged"


class TrainingCrashed(TrialFailed):
    reason: ClassVar[str] = "crashed"
