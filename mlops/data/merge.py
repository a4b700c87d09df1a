"""Merge one or several sources into one data set: order the classes, join the splits, compute the digest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.class_map import ClassMap
from mlops.data.dataset import (
    SPLITS,
    BoxedImage,
    ClassificationSource,
    DetectionSource,
    LabelledImages,
    Source,
    SplitName,
)
from mlops.files.digests import content_digest, digest_of_lines, relative_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def merged_classes(
    sources: Sequence[Source], class_map: ClassMap | None, order: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[list[int]]]:
    """The target classes in order of first appearance, and each source's class indices in them (-1: omitted).

    order: used for several sources if it has all classes, whichever source comes first.
    """
    targets = [
        list(source.classes)
        if class_map is None
        else [class_map.section(source.name, source.classes)[each] for each in source.classes]
        for source in sources
    ]
    classes = tuple(dict.fromkeys(each for listed in targets for each in listed if each is not None))
    if len(sources) > 1 and set(classes) <= set(order):
        place = {name: number for number, name in enumerate(order)}
        classes = tuple(sorted(classes, key=place.__getitem__))
    position = {name: number for number, name in enumerate(classes)}
    tables = [[-1 if each is None else position[each] for each in listed] for listed in targets]
    return classes, tables


def merged_pictures(
    sources: Sequence[DetectionSource], tables: Sequence[Sequence[int]]
) -> dict[SplitName, tuple[BoxedImage, ...]]:
    """The images of all sources by split, with boxes of the target classes; sets `source`."""
    return {
        split: tuple(
            replace(
                picture,
                source=source.name,
                boxes=tuple(
                    replace(box, class_index=table[box.class_index])
                    for box in picture.boxes
                    if table[box.class_index] >= 0
                ),
            )
            for source, table in zip(sources, tables, strict=True)
            for picture in source.splits.get(split, ())
        )
        for split in SPLITS
        if any(split in source.splits for source in sources)
    }


def merged_images(
    sources: Sequence[ClassificationSource], tables: Sequence[Sequence[int]], cache: Path
) -> dict[SplitName, LabelledImages]:
    """The labelled images of all sources by split, without those of omitted classes."""
    if len(sources) == 1 and tables[0] == list(range(len(tables[0]))):
        return dict(sources[0].splits)
    joined: dict[SplitName, LabelledImages] = {}
    for split in SPLITS:
        parts = [
            _kept(source, split, table)
            for source, table in zip(sources, tables, strict=True)
            if split in source.splits
        ]
        if parts:
            joined[split] = _joined(parts, cache, several=len(sources) > 1)
    return joined


def digest(
    sources: Sequence[Source], classes: Sequence[str], cache: Path, class_map: ClassMap | None, seed: int
) -> str:
    """The digest of the training data: over each source's, the class map and the seed of drawn splits.

    classes: the merged ones; with several sources they are included, since their order follows the sources'.
    """
    digests = [content_digest(each.files, each.root, cache, _facts(each)) for each in sources]
    lines = [f"source\0{each}" for each in digests]
    if len(sources) > 1:
        lines.append("classes\0" + json.dumps(classes))
    if class_map is not None:
        lines.append("map\0" + json.dumps(class_map.sections, sort_keys=True))
    if any(each.made_split for each in sources):
        lines.append(f"seed\0{seed}")
    return digests[0] if len(lines) == 1 else digest_of_lines(lines)


def _facts(source: Source) -> Iterator[str]:
    yield "classes\0" + json.dumps(source.classes)
    for split, content in source.splits.items():
        if isinstance(content, LabelledImages):
            labels = content.labels.tolist()
            if isinstance(content.images, list):
                names = (relative_name(each, source.root) for each in content.images)
                yield from (f"{split}\0{name}\0{label}" for name, label in zip(names, labels, strict=True))
        elif isinstance(source, DetectionSource) and not source.made_split:
            yield from (f"{split}\0{relative_name(each.image, source.root)}" for each in content)


def _kept(
    source: ClassificationSource, split: SplitName, table: Sequence[int]
) -> tuple[str, Sequence[Path] | NDArray[np.uint8], NDArray[np.int64]]:
    import numpy as np

    images = source.splits[split]
    labels = np.asarray(table, dtype=np.int64)[images.labels]
    keep = labels >= 0
    if isinstance(images.images, np.ndarray):
        return source.name, images.images[keep], labels[keep]
    return source.name, [each for each, kept in zip(images.images, keep, strict=True) if kept], labels[keep]


def _joined(
    parts: Sequence[tuple[str, Sequence[Path] | NDArray[np.uint8], NDArray[np.int64]]],
    cache: Path,
    *,
    several: bool,
) -> LabelledImages:
    import numpy as np

    labels = np.concatenate([labels for _, _, labels in parts])
    sources = tuple(name for name, _, own in parts for _ in range(len(own))) if several else ()
    arrays = [images for _, images, _ in parts if isinstance(images, np.ndarray)]
    if len(arrays) == len(parts) and len({each.shape[1:] for each in arrays}) == 1:
        return LabelledImages(np.concatenate(arrays), labels, sources)
    from mlops.data.pixels import as_files

    images = [
        file for _, own, _ in parts for file in (as_files(own, cache) if isinstance(own, np.ndarray) else own)
    ]
    return LabelledImages(images, labels, sources)
