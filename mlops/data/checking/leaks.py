"""Find images that are in two splits: identical, nearly identical, or augmented from the same original."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.checking.image_hashes import Look, thumb_of
from mlops.data.dataset import SPLITS, SplitName
from mlops.data.faults import Fault, fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Measured on real images: among pairs whose hashes differ in up to 10 of 64 bits, those whose thumbnails
# correlate at 0.96 or more show the same scene; the others show another scene of the same kind.
MAX_BITS = 10
MIN_CORRELATION = 0.96
_ROWS = 256
_PAIRS = 4_000_000  # compared at a time: all of them may be alike

# Roboflow's `<original>_jpg.rf.<32 hex digits>.jpg`, and `_aug_3` as many augmenters write
_COPY = re.compile(r"^(?P<origin>.+?)(?:_(?:jpe?g|png|bmp|webp|tiff?))?\.rf\.[0-9a-f]{32}$", re.IGNORECASE)
_AUGMENTED = re.compile(r"[-_]aug(?:mented)?[-_]?\d.*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image in one split. name: its path, or `val_images[12]` in an array."""

    split: SplitName
    file: Path
    name: str
    look: Look


def find_leaks(samples: Sequence[Sample]) -> list[Fault]:
    """At most one fault per image, reported for the later split (val or test) with its match in the other."""
    readable = [each for each in samples if not each.look.problem]
    identical = list(_identical(readable))
    told = {id(each) for each, _ in identical}
    twins: dict[tuple[SplitName, str], list[Sample]] = defaultdict(list)
    for each in readable:
        twins[_key(each)].append(each)
    near = [
        (twin, other, correlation)
        for each, other, correlation in _near_identical([own[0] for own in twins.values()])
        for twin in twins[_key(each)]
        if id(twin) not in told
    ]
    told.update(id(each) for each, _, _ in near)
    copies = [each for each in _copies(samples) if id(each[0]) not in told]
    return [
        *(
            fault("identical-across-splits", each.file, f"{_named(each)}the same image is in {_where(other)}")
            for each, other in identical
        ),
        *(
            fault(
                "near-identical-across-splits",
                each.file,
                f"{_named(each)}nearly the same image (correlation {correlation:.3f}) is in {_where(other)}",
            )
            for each, other, correlation in near
        ),
        *(
            fault(
                "copy-across-splits",
                each.file,
                f"{_named(each)}another copy of the same original (by its name) is in {_where(other)}",
            )
            for each, other in copies
        ),
    ]


def _key(sample: Sample) -> tuple[SplitName, str]:
    return sample.split, sample.look.sha256


def origin(name: str) -> str | None:
    """The original's name in the name of an augmented copy; None for other names."""
    stem = Path(name).stem
    matched = _COPY.match(stem)
    base = matched["origin"] if matched else stem
    cut = _AUGMENTED.sub("", base)
    return cut if matched or cut != base else None


def _identical(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    yield from _sharing([(each.look.sha256, each) for each in samples])


def _copies(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    named = [(origin(each.name), each) for each in samples]
    yield from _sharing([(name, each) for name, each in named if name])


def _sharing(keyed: Sequence[tuple[str, Sample]]) -> Iterator[tuple[Sample, Sample]]:
    """Each sample whose key is also in an earlier split, with the first sample there."""
    first: dict[str, dict[SplitName, Sample]] = defaultdict(dict)
    for key, sample in keyed:
        first[key].setdefault(sample.split, sample)
    for key, sample in keyed:
        earlier = SPLITS[: SPLITS.index(sample.split)]
        other = next((first[key][split] for split in earlier if split in first[key]), None)
        if other is not None:
            yield sample, other


def _near_identical(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample, float]]:
    """Each sample with its closest match in an earlier split, if that is close enough."""
    import numpy as np

    if not samples:
        return
    hashes = np.array([each.look.phash for each in samples], dtype=np.uint64)
    thumbs = _normalised([thumb_of(each.look) for each in samples])
    places = {split: np.flatnonzero([each.split == split for each in samples]) for split in SPLITS}
    for position, split in enumerate(SPLITS):
        before = np.concatenate([places[each] for each in SPLITS[:position]] or [np.empty(0, dtype=np.int64)])
        step = max(1, min(_ROWS, _PAIRS // max(1, len(before))))
        for start in range(0, len(places[split]), step):
            rows = places[split][start : start + step]
            bits = np.bitwise_count(hashes[rows, None] ^ hashes[before][None])
            picked, others = np.nonzero(bits <= MAX_BITS)
            yield from _closest(samples, thumbs, rows[picked], before[others])


def _closest(
    samples: Sequence[Sample], thumbs: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> Iterator[tuple[Sample, Sample, float]]:
    import numpy as np

    best: dict[int, tuple[float, int]] = {}
    for start in range(0, len(left), 65536):
        ours, theirs = left[start : start + 65536], right[start : start + 65536]
        correlations = np.einsum("ij,ij->i", thumbs[ours], thumbs[theirs])
        for index in np.flatnonzero(correlations >= MIN_CORRELATION):
            found = (float(correlations[index]), int(theirs[index]))
            best[int(ours[index])] = max(found, best.get(int(ours[index]), (0.0, -1)))
    for sample, (correlation, other) in best.items():
        yield samples[sample], samples[other], correlation


def _normalised(thumbs: Sequence[bytes]) -> NDArray[np.float32]:
    """Grey values with mean 0 and length 1, so that a dot product is a correlation; flat images are zero."""
    import numpy as np

    values = np.frombuffer(b"".join(thumbs), dtype=np.uint8).reshape(len(thumbs), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    flat = lengths < 0.5 * values.shape[1] ** 0.5  # half a grey level
    normalised: NDArray[np.float32] = np.where(flat, 0, values / np.maximum(lengths, 1e-6)).astype(np.float32)
    return normalised


def _where(sample: Sample) -> str:
    return f"{sample.split}: {sample.name}"


def _named(sample: Sample) -> str:
    """The image's name, if its file holds several."""
    return "" if sample.name == str(sample.file) else f"{sample.name}: "
