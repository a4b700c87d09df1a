"""Placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from mlops.assessment.scene import Measured, Scene


def write_review(scene: Scene, measured: Sequence[Measured]) -> list[str]:
    return []
