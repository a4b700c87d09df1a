"""Run a bundle's `predict.py` in a new environment with only onnxruntime, pillow and numpy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError, UserError
from registry.export.bundle.bundle_folder import CHECK, PREDICT

NEEDS = ("onnxruntime", "pillow", "numpy")
_TOLERANCE = 0.02  # of a probability or a score, as CPUs round differently
_PIXELS = 1.0


def run_isolated(bundle: Path, manifest: Mapping[str, Any]) -> str:
    """The output of `predict.py` for the check image, in a new environment.

    Installs the library versions of the manifest with pip. Raises UserError for a bundle without the script,
    MlopsError if the libraries cannot be installed, the script fails, or its output is not the expected one.
    """
    if "check" not in manifest:
        raise UserError(
            f"{bundle} has no {PREDICT}, as it was exported without ONNX; export it with --format onnx"
        )
    with tempfile.TemporaryDirectory(prefix="mlops-isolated-") as folder:
        home = Path(folder)
        venv.create(home / "env", with_pip=True)
        python = home / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
        versions = manifest["libraries"]
        wanted = [f"{name}=={versions[name]}" if name in versions else name for name in NEEDS]
        made = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise MlopsError(f"cannot install {', '.join(wanted)}: {_last(made.stderr)}")
        said = run_script(bundle, python, clean=True)
    if problem := difference(manifest["check"]["says"], said):
        raise MlopsError(f"{bundle}: the output of predict.py differs from the manifest: {problem}")
    return said


def run_script(bundle: Path, python: Path | None = None, *, clean: bool = False) -> str:
    """The output of `predict.py` for the check image. clean: without this process's environment variables.

    Raises MlopsError if it fails.
    """
    environment = {"PATH": os.environ.get("PATH", "")} if clean else dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="mlops-predict-") as elsewhere:
        answer = subprocess.run(
            [
                str(python or sys.executable),
                "-I",
                str((bundle / PREDICT).absolute()),
                str((bundle / CHECK).absolute()),
            ],
            cwd=elsewhere,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if answer.returncode:
        raise MlopsError(f"{bundle / PREDICT} failed: {_last(answer.stderr)}")
    return answer.stdout


def difference(expected: str, said: str) -> str:
    """The first difference of two outputs of `predict.py` beyond rounding; "" if there is none."""
    first, second = _rows(expected), _rows(said)
    if sorted(name for name, _ in first) != sorted(name for name, _ in second):
        return f"expected {len(first)} lines of {_names(first)}, got {len(second)} of {_names(second)}"
    rest = list(second)
    for name, numbers in first:
        near = next((row for row in rest if row[0] == name and _near(numbers, row[1])), None)
        if near is None:
            return f"expected a line close to {name} {' '.join(map(str, numbers))}"
        rest.remove(near)
    return ""


def _near(a: Sequence[float], b: Sequence[float]) -> bool:
    limits = (_TOLERANCE, *(_PIXELS,) * (len(a) - 1))
    return len(a) == len(b) and all(abs(x - y) <= limit for x, y, limit in zip(a, b, limits, strict=True))


def _rows(text: str) -> list[tuple[str, tuple[float, ...]]]:
    parts = [line.split("\t") for line in text.splitlines() if line]
    return [(name, tuple(float(number) for number in numbers)) for name, *numbers in parts]


def _names(rows: Sequence[tuple[str, tuple[float, ...]]]) -> str:
    return ", ".join(sorted({name for name, _ in rows})) or "nothing"


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no error message"])[-1]
