"""What can be wrong with a data set, and how much it matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops.errors import DataFault
from mlops.files.limits import ERRORS, WARNINGS

Severity = Literal["error", "warning"]

# Errors prevent a correct training. Leaks between splits are warnings: they distort the metrics, not the
# training, and the release gates judge the metrics.
SEVERITY: Mapping[str, Severity] = {
    "unreadable-set": "error",
    "unreadable-image": "error",
    "no-decoder": "warning",
    "left-out-image": "warning",
    "misnamed-image": "warning",
    "missing-image": "error",
    "missing-label": "warning",
    "orphan-label": "warning",
    "unreadable-label": "error",
    "not-a-number": "error",
    "unknown-class": "error",
    "unknown-split": "error",
    "conflicting-label": "error",
    "missing-image-label": "error",
    "orphan-image-label": "warning",
    "wrong-columns": "error",
    "outside-image": "error",
    "over-edge": "warning",
    "zero-area": "warning",
    "wrong-size": "error",
    "class-never": "warning",
    "class-one-split": "warning",
    "identical-across-splits": "warning",
    "near-identical-across-splits": "warning",
    "copy-across-splits": "warning",
    "group-across-splits": "warning",
    "empty-split": "error",
    "no-test-split": "warning",
    "made-split": "warning",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a data set.

    code: a key of `SEVERITY`.
    file: the file; for a fault of the whole set, the path or address that the user passed.
    line: counted from 1; None for a fault of the whole file.
    says: the message, in one line, without the place.
    """

    severity: Severity
    code: str
    file: Path | str
    line: int | None
    says: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)


def fault(code: str, file: Path | str, says: str, line: int | None = None) -> Fault:
    """A fault with the severity of its code."""
    return Fault(SEVERITY[code], code, file, line, says)


class FaultLog(list[Fault]):
    """The faults found so far. Raises DataFault above a limit: such a file is of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self._errors = 0

    def append(self, each: Fault) -> None:
        self._errors += each.severity == "error"
        if self._errors > ERRORS or len(self) >= WARNINGS:
            most = ERRORS if self._errors > ERRORS else WARNINGS
            raise DataFault(
                f"{each.file}: more than {most:,} faults; the first: {self[0].place}: {self[0].says}"
            )
        super().append(each)

    def extend(self, more: Iterable[Fault]) -> None:
        for each in more:
            self.append(each)


def raise_errors(faults: Iterable[Fault], path: str) -> None:
    """Raise DataFault with the first error and their number, if there is an error among `faults`."""
    errors = [each for each in faults if each.severity == "error"]
    if not errors:
        return
    others = f" (and {len(errors) - 1} more; run `mlops data check {path}`)" if len(errors) > 1 else ""
    raise DataFault(f"{errors[0].place}: {errors[0].says}{others}")


def as_rows(faults: Iterable[Fault]) -> list[dict[str, str | int | None]]:
    """Faults as plain values, for JSON and tables."""
    return [
        {
            "severity": each.severity,
            "code": each.code,
            "file": str(each.file),
            "line": each.line,
            "says": each.says,
        }
        for each in faults
    ]
