"""From `--device` to the device that Ultralytics is told."""

from __future__ import annotations

from mlops.training.device import find_device


def library_device(asked: str) -> str:
    """`asked` in Ultralytics' words: "cpu", "mps" or a CUDA index. Raises as `find_device`."""
    return find_device(asked).removeprefix("cuda:")
