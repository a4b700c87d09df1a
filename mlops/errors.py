"""Every error this product raises on purpose.

    MlopsError                    exit 1  something failed
    ├── UserError                 exit 2  the user can mend it: the message says what, where and how
    │   ├── BadSetting                    a system file, `--set` or option holds a value that cannot be
    │   ├── DataFault                     a data set that cannot be read or must not be trained on
    │   ├── MissingWeights                pretrained weights that are neither here nor to be fetched
    │   ├── UnsafeWeights                 a file of weights that could run code: it is not loaded
    │   ├── StudyMismatch                 a study name that belongs to other data, system or space
    │   ├── RunFault                      a past run that cannot be imported as it is
    │   ├── NotComparable                 results of other data or classes, or of which no sample was kept
    │   ├── DiskFull                      no room left for what must be kept
    │   ├── MissingPackage                a package that is not installed, with the pip command for it
    │   └── UnknownVersion                no such registered model, version or stage, or its files are gone
    ├── ServerUnavailable         exit 1  the tracking server does not answer
    │   └── NotAllowed                    it answers that this user may not do that: nothing was done
    ├── GateRefused               exit 3  the evidence does not reach what the policy asks for
    ├── MoveLost                  exit 1  someone else moved a version of this model first
    ├── LedgerBroken              exit 1  the record of stage changes was altered: nothing moves on top of it
    └── TrialFailed               exit 1  one training failed; the search goes on
        ├── OutOfMemory                   the device's or the machine's memory was not enough
        ├── Diverged                      a loss became NaN or infinite
        └── TrainingCrashed               anything else inside a training

A command prints the message in one line and leaves with `exit_code` (see `mlops.cli.main`).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar


class MlopsError(Exception):
    """Base of all. The message is one line: what is wrong, where, and what to do about it."""

    exit_code: ClassVar[int] = 1


class Terminated(KeyboardInterrupt):
    """SIGTERM, answered as Ctrl-C is. No MlopsError: nothing that catches failures may stop it."""


class UserError(MlopsError):
    exit_code: ClassVar[int] = 2


class BadSetting(UserError):
    """A setting that cannot be, with its place, what was given and what is allowed."""

    def __init__(self, where: str, key: str, given: object, allowed: str) -> None:
        self.where, self.key, self.given, self.allowed = where, key, given, allowed
        super().__init__(f"{where}: {key} is {given!r}; allowed: {allowed}")


class DataFault(UserError):
    """A data set that cannot be read, or whose check found errors."""


class MissingWeights(UserError):
    """Weights that are neither on this machine nor to be fetched now."""


class UnsafeWeights(UserError):
    """A file of weights that, when loaded, could call more than what weights are made of."""


class StudyMismatch(UserError):
    """A study of this name exists for other data, another system or another space."""


class RunFault(UserError):
    """A past run's folder or file that cannot be imported as it is."""


class NotComparable(UserError):
    """Results that cannot be laid side by side: other samples or classes, no tables, one and the same."""


class DiskFull(UserError):
    """No room left for what must be kept; everything accepted before it is safe."""

    def __init__(self, where: str, what: str) -> None:
        self.where, self.what = where, what
        super().__init__(
            f"no room left in {where} for {what}: free some space and start again; "
            "what was accepted before is kept"
        )


# packages that an extra of ours installs; the base installation has none of them
EXTRA_OF = {
    **dict.fromkeys(("torch", "torchvision", "ultralytics", "timm", "lightning", "kornia"), "train"),
    **dict.fromkeys(("huggingface_hub", "onnxscript", "plotly", "safetensors"), "train"),
    **dict.fromkeys(("coremltools", "openvino"), "export"),
    "ray": "ray",
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
        if find_spec(package) is None:
            raise MissingPackage(what, package)


class UnknownVersion(UserError):
    """A registered model, version or stage that is not there, or a version whose files are gone."""


class ServerUnavailable(MlopsError):
    """The tracking server does not answer, or answers with a refusal."""


class NotAllowed(ServerUnavailable):
    """The tracking server does not let this user do that; nothing was done."""


class GateRefused(MlopsError):
    """A version that does not show what its model's policy asks for."""

    exit_code: ClassVar[int] = 3


class MoveLost(MlopsError):
    """Of two moves decided on the same state of a model, the one that came second."""


class LedgerBroken(MlopsError):
    """An entry of the ledger was changed, taken out or put in; `mlops registry verify` names it."""


class TrialFailed(MlopsError):
    """One training failed. `reason` is the short word that is put on its run."""

    reason: ClassVar[str] = "failed"


class OutOfMemory(TrialFailed):
    reason: ClassVar[str] = "out of memory"


class Diverged(TrialFailed):
    reason: ClassVar[str] = "diverged"


class TrainingCrashed(TrialFailed):
    reason: ClassVar[str] = "crashed"
