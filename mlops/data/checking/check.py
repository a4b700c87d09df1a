"""List everything that is wrong with a data set before training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.checking.image_hashes import Look, OnProgress, look_at_files, look_at_tiles
from mlops.data.checking.leaks import Sample, find_leaks
from mlops.data.dataset import (
    SPLITS,
    ClassificationSource,
    DetectionSource,
    LabelledImages,
    Source,
    SplitName,
)
from mlops.data.faults import SEVERITY, Fault, fault
from mlops.data.image_suffixes import FORMAT_OF_SUFFIX, missing_decoder, needs_decoder
from mlops.data.opening import SPLIT_HINT, TOO_FEW, TRAINED_ON, named_sources, refuse_other_task
from mlops.data.places import is_remote
from mlops.data.readers.image_labels import TABLE, named_labels
from mlops.errors import DataFault
from mlops.terminal.progress import bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAME_FORMAT = {"MPO": "JPEG"}  # a JPEG with several frames, as phones and cameras write it
_SMALLEST_PX = 10  # Ultralytics rejects smaller images
_ASPECT_TOLERANCE = 0.02


def check_dataset(
    paths: Sequence[str],
    task: str | None,
    *,
    cache: Path,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    image_label: str = TABLE,
) -> list[Fault]:
    """Every fault of the data at `paths`; see `mlops.data.check_dataset`."""
    faults: list[Fault] = []
    sources: list[Source] = []
    for path, read in named_sources(paths, cache, seed=seed):
        try:
            source = read()
            if task is not None:
                refuse_other_task(path, source, task)
            if task == "joint" and isinstance(source, DetectionSource):
                faults += named_labels(source, image_label).faults
        except DataFault as error:
            named = path if is_remote(path) else Path(path)
            says = re.sub(
                rf"^{re.escape(str(path))}(?=[: ])[: ]+", "", str(error)
            )  # the path stands beside it
            faults.append(fault("unreadable-set", named, says))
            continue
        sources.append(source)
        place = source.root if is_remote(path) else Path(path)
        faults += [*source.faults, *_splits(place, source), *_classes(place, source)]
    if on_progress is not None:
        faults += _pictures(sources, cache, on_progress)
    else:
        with bar("Checking images") as shown:
            faults += _pictures(sources, cache, shown)
    order = list(SEVERITY)
    return sorted(
        dict.fromkeys(faults),
        key=lambda each: (each.severity, order.index(each.code), str(each.file), each.line or 0),
    )


def _splits(path: Path, source: Source) -> Iterator[Fault]:
    """Splits that are missing, or empty and not yet reported by the reader."""
    told = any(each.code == "empty-split" for each in source.faults)
    for split in TRAINED_ON:
        if split not in source.splits:
            yield fault("empty-split", path, f"no {split} split; {SPLIT_HINT}")
        elif not len(source.splits[split]) and not told:
            hint = TOO_FEW if source.made_split else SPLIT_HINT
            yield fault("empty-split", path, f"no images in the {split} split; {hint}")
    if "test" not in source.splits and not any(each.code == "no-test-split" for each in source.faults):
        yield fault(
            "no-test-split", path, "no test split; val is used as the test set, so its metrics are optimistic"
        )


def _classes(path: Path, source: Source) -> Iterator[Fault]:
    counts = _counts(source)
    unit = "objects" if isinstance(source, DetectionSource) else "images"
    for index, name in enumerate(source.classes):
        having = {split: count[index] for split, count in counts.items() if count[index]}
        if not having:
            yield fault("class-never", path, f"class {index} ({name}) has no {unit}")
        elif len(having) == 1 and len(counts) > 1:
            split, count = next(iter(having.items()))
            yield fault(
                "class-one-split", path, f"class {index} ({name}) is in {split} only ({count} {unit})"
            )


def _counts(source: Source) -> Mapping[SplitName, Counter[int]]:
    if isinstance(source, DetectionSource):
        return {
            split: Counter(box.class_index for picture in own for box in picture.boxes)
            for split, own in source.splits.items()
        }
    return {split: Counter(own.labels.tolist()) for split, own in source.splits.items()}


def _pictures(sources: Sequence[Source], cache: Path, on_progress: OnProgress) -> list[Fault]:
    """Unreadable and misnamed images, and those that are in two splits, over all sources."""
    placed = [each for source in sources for each in _files(source)]
    tiles = [
        each for source in sources if isinstance(source, ClassificationSource) for each in _tiles(source)
    ]
    files = list(dict.fromkeys(file for _, file in placed))
    waiting = [file for file in files if needs_decoder(file.name)]
    files = [file for file in files if not needs_decoder(file.name)]
    placed = [(split, file) for split, file in placed if not needs_decoder(file.name)]
    total = len(files) + sum(len(own) for _, _, own in tiles)
    looks = look_at_files(files, cache, lambda done, _: on_progress(done, total))
    boxed = [each for each in sources if isinstance(each, DetectionSource)]
    sizes = {file: size for each in boxed for file, size in each.sizes.items()}
    smallest = _SMALLEST_PX if boxed else 1
    faults = [
        each for file, look in looks.items() for each in _picture(file, look, sizes.get(file), smallest)
    ]
    if waiting:  # one fault for all of them
        says = missing_decoder(file.name for file in waiting)
        faults.append(fault("unreadable-image", waiting[0].parent, str(says)))
    samples = [Sample(split, file, str(file), looks[file]) for split, file in placed]
    done = len(files)
    for file, split, own in tiles:
        for index, look in enumerate(look_at_tiles(own)):
            samples.append(Sample(split, file, f"{split}_images[{index}]", look))
            on_progress(done := done + 1, total)
    return faults + find_leaks(samples)


def _tiles(source: ClassificationSource) -> Iterator[tuple[Path, SplitName, NDArray[np.uint8]]]:
    import numpy as np

    for split, own in source.splits.items():
        if isinstance(own.images, np.ndarray):
            yield source.files[0], split, own.images


def _files(source: Source) -> Iterator[tuple[SplitName, Path]]:
    for split in SPLITS:
        own = source.splits.get(split)
        if isinstance(own, LabelledImages):
            if isinstance(own.images, list):
                yield from ((split, file) for file in own.images)
        elif own is not None:
            yield from ((split, picture.image) for picture in own)


def _picture(file: Path, look: Look, stated: tuple[int, int] | None, smallest: int) -> Iterator[Fault]:
    if look.problem:
        yield fault("unreadable-image", file, f"cannot be read: {look.problem}")
        return
    expected = FORMAT_OF_SUFFIX.get(file.suffix.lower())
    if expected is not None and _SAME_FORMAT.get(look.format, look.format) != expected:
        yield fault("misnamed-image", file, f"content is {look.format}, but the suffix means {expected}")
    if min(look.width, look.height) < smallest:
        says = f"is {look.width}x{look.height} pixels; detector training needs at least {smallest} a side"
        yield fault("unreadable-image", file, says)
    if stated is not None and not _same_shape(stated, look):
        says = f"is {look.width}x{look.height} pixels, but its annotation states {stated[0]}x{stated[1]}"
        yield fault("wrong-size", file, says)


def _same_shape(stated: tuple[int, int], look: Look) -> bool:
    """Boxes are fractions, so a scaled image is fine; another aspect ratio is not."""
    width, height = (look.height, look.width) if look.turned else (look.width, look.height)
    ratio = (stated[0] / stated[1]) / (width / height)
    return abs(ratio - 1) <= _ASPECT_TOLERANCE
