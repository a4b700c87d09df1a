"""How much demo data is made: pictures a split, their side, and the random stream of each picture."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.dataset import SPLITS, SplitName

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SplitPlan:
    name: SplitName
    pictures: int
    root: tuple[int, ...]

    def rng(self, picture: int | None = None) -> np.random.Generator:
        """The split's own random stream, or that of one of its pictures: independent of every other."""
        return np.random.default_rng([*self.root, 0 if picture is None else picture + 1])


@dataclass(frozen=True, slots=True)
class Plan:
    """side: of every picture, in pixels."""

    side: int
    splits: tuple[SplitPlan, ...]


def make_plan(system: str, seed: int, side: int, pictures: Mapping[SplitName, int]) -> Plan:
    root = (seed, zlib.crc32(system.encode()))
    return Plan(side, tuple(SplitPlan(name, pictures[name], (*root, i)) for i, name in enumerate(SPLITS)))
