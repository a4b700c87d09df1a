"""Run `mlops` as a user does: a process of its own in a working directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

TINY = (
    "model=mobilenetv3_small_050",
    "weights=none",
    "image_size=32",
    "batch=32",
    "accumulate=1",
    "freeze_epochs=0",
    "lr=0.002",
    "workers=0",
)


def tiny(*more: str) -> list[str]:
    """`--set` for a classifier that trains an epoch of the tiny demo set in about a second."""
    return [part for setting in (*TINY, *more) for part in ("--set", setting)]


@dataclass(frozen=True)
class Shell:
    """A working directory and the environment that its commands see."""

    folder: Path
    tracking_uri: str = ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_"))}
        kept["OMP_NUM_THREADS"] = "1"
        kept["PYTHONPATH"] = str(REPOSITORY)
        if self.tracking_uri:
            kept["MLFLOW_TRACKING_URI"] = self.tracking_uri
        return kept

    def start(self, *arguments: str, **streams: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-P", "-m", "mlops", *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            **streams,
        )

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def succeed(self, *arguments: str, timeout_s: float = 300) -> str:
        answer = self.run(*arguments, timeout_s=timeout_s)
        assert answer.returncode == 0, f"mlops {' '.join(arguments)}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    @property
    def store(self) -> str:
        return self.tracking_uri or f"sqlite:///{self.folder / 'mlflow.db'}"
