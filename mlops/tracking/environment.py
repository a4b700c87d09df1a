"""The environment of a run: the code's commit, library versions and the machine."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    "vision-mlops",
    "mlflow",
    "optuna",
    "ultralytics",
    "timm",
    "torch",
    "torchvision",
    "lightning",
    "onnx",
    "onnxruntime",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class CodeState:
    """The commit of the code; "" outside a checkout. dirty: the checkout has uncommitted changes."""

    commit: str
    dirty: bool


def code_state() -> CodeState:
    """Read the state of the checkout of this package."""
    where = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(where), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
        return answer.stdout.strip()

    try:
        return CodeState(commit=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return CodeState(commit="", dirty=False)


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that affect results; missing ones are omitted."""
    found: dict[str, str] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
