"""Draw train, val and test from a set that has no splits: by group, alike for the same seed anywhere."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from mlops.data.dataset import SPLITS, BoxedImage, SplitName

VAL_FRACTION = 0.15
TEST_FRACTION = 0.15


def draw_splits(
    groups: Sequence[str],
    strata: Sequence[str],
    *,
    seed: int = 0,
    val: float = VAL_FRACTION,
    test: float = TEST_FRACTION,
) -> list[SplitName]:
    """The split of each picture.

    groups: what must not be torn apart (a patient, a sequence; the picture's own name where there is none).
    strata: what should be spread evenly (its class); a group counts as its commonest one.
    val, test: fractions of the pictures of each stratum. Where a stratum has groups enough (3), val and
        test get one at least, unless their fraction is 0.

    The order of groups comes from SHA-256 of seed and name, so neither the order of files nor a picture added
    later moves the others between the ends of it.
    """
    size = Counter(groups)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        seen[group][stratum] += 1
    members: dict[str, list[str]] = defaultdict(list)
    for group, counts in seen.items():
        members[min(counts, key=lambda stratum: (-counts[stratum], stratum))].append(group)

    split_of: dict[str, SplitName] = {}
    for names in members.values():
        ordered = sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
        split_of.update(_cut(ordered, size, val, test))
    return [split_of[group] for group in groups]


def _cut(ordered: Sequence[str], size: Counter[str], val: float, test: float) -> dict[str, SplitName]:
    """Walk through groups in order: test until its share is reached, then val, the rest is train."""
    total = sum(size[name] for name in ordered)
    splits: dict[str, SplitName] = {}
    position = 0
    wanted: tuple[tuple[SplitName, float], ...] = (("test", test), ("val", val))
    for split, fraction in wanted:
        taken = 0
        enough = len(ordered) >= 3
        while fraction > 0 and position < len(ordered) - 1:
            count = size[ordered[position]]
            first = taken == 0 and enough
            if not first and taken + count / 2 > fraction * total:
                break
            splits[ordered[position]] = split
            taken += count
            position += 1
    splits.update(dict.fromkeys(ordered[position:], "train"))
    return splits


def own_names(pictures: Sequence[Path]) -> list[str]:
    """What each picture is called among them: its name, with the folders below the common one where others
    have the same name, so that it does not change with the place of the set.
    """
    called = Counter(picture.name for picture in pictures)
    common = os.path.commonpath([picture.parent for picture in pictures]) if pictures else ""
    return [
        picture.name if called[picture.name] == 1 else picture.relative_to(common).as_posix()
        for picture in pictures
    ]


def draw_detection(pictures: tuple[BoxedImage, ...], seed: int) -> dict[SplitName, tuple[BoxedImage, ...]]:
    """Splits drawn by group (else by picture), spread by the first box's class."""
    names = own_names([each.image for each in pictures])
    drawn = draw_splits(
        [each.group or name for each, name in zip(pictures, names, strict=True)],
        [str(each.boxes[0].class_index) if each.boxes else "" for each in pictures],
        seed=seed,
    )
    return {
        split: tuple(each for each, given in zip(pictures, drawn, strict=True) if given == split)
        for split in SPLITS
    }
