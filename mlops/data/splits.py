"""Draw train, val and test from a set without splits: by group, reproducible from the seed."""

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
    """The split of each image.

    groups: the group of each image (patient, sequence; else its name); a group is never divided.
    strata: the class of each image, spread evenly over the splits; a group has its most frequent one.
    val, test: fractions of the images of each stratum. If a stratum has at least 3 groups, val and test get
        at least one, unless their fraction is 0.

    Groups are ordered by the SHA-256 of seed and name, so the result depends neither on the order of files
    nor, beyond the boundaries, on images added later.
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
    """Assign groups in order: test until its fraction is reached, then val; the rest is train."""
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
    """A name for each image that is independent of the set's location: its file name, with the folders below
    the common one if the file name is not unique.
    """
    called = Counter(picture.name for picture in pictures)
    common = os.path.commonpath([picture.parent for picture in pictures]) if pictures else ""
    return [
        picture.name if called[picture.name] == 1 else picture.relative_to(common).as_posix()
        for picture in pictures
    ]


def draw_detection(pictures: tuple[BoxedImage, ...], seed: int) -> dict[SplitName, tuple[BoxedImage, ...]]:
    """Splits drawn by group (else by image), stratified by the first box's class."""
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
