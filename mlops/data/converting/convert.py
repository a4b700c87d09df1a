"""Convert a data set of any supported format to a YOLO folder or an ImageFolder, split by group."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlops.data.converting.box_table import boxes_table, read_boxes_table
from mlops.data.converting.write_dataset import write_objects, write_pictures, write_yolo
from mlops.data.dataset import (
    SPLITS,
    BoxedImage,
    ClassificationSource,
    DetectionSource,
    LabelledImages,
    Source,
    SplitName,
    images_of,
)
from mlops.data.demo.demo_data import pass_on_marker
from mlops.data.faults import Fault, raise_errors
from mlops.data.grouping import EACH_FOR_ITSELF, Grouping, group_column, groups_of
from mlops.data.image_files import refuse_odd_images
from mlops.data.readers import detect_format, read_source
from mlops.data.readers.detect import source_name
from mlops.data.readers.imagefolder import labelled
from mlops.data.readers.layout import table_file
from mlops.data.splits import draw_splits
from mlops.errors import BadSetting, DataFault
from mlops.files.atomic import new_folder
from mlops.files.regular_files import exists, refuse_odd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Target = Literal["yolo", "imagefolder"]


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """How to split a source: fractions of train, val and test, and which images stay together."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15
    grouping: Grouping = EACH_FOR_ITSELF
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Converted:
    """Counts. pictures: of the source, by split. written: boxes (YOLO) or files (ImageFolder)."""

    folder: Path
    to: Target
    classes: tuple[str, ...]
    pictures: Mapping[str, int]
    written: int
    kept_splits: bool
    warnings: tuple[Fault, ...]


def convert(source: Path, out: Path, to: Target, request: SplitRequest | None = None) -> Converted:
    """Read `source`, split it if it has no splits, and write it to `out` completely or not at all.

    request: None for the defaults; an error if the source has splits.
    Boxes without area are dropped, each with a warning. Nothing is written into `source`.
    Raises DataFault: out not empty or inside the source, errors in the labels, too few groups for the splits;
    BadSetting: an invalid split or grouping.
    """
    _refuse_out(source, out)
    found = _read(source)
    raise_errors(found.faults, str(source))
    refuse_odd_images(images_of(found))
    if to == "yolo" and isinstance(found, ClassificationSource):
        raise DataFault(f"{source} has one label per image and no boxes; use --to imagefolder")
    kept = not found.made_split
    if kept and request is not None:
        raise BadSetting(
            str(source), "--split or --group", "given", "neither, as the source has splits, which are kept"
        )
    if not kept:
        found = _cut(found, source, request or SplitRequest())
    with new_folder(out, "refuse") as work:
        written = _write(work, found, to)
        pass_on_marker(found.root, work)
    return Converted(
        folder=out,
        to=to,
        classes=found.classes,
        pictures={split: len(own) for split, own in found.splits.items()},
        written=written,
        kept_splits=kept,
        warnings=tuple(each for each in found.faults if each.code != "made-split"),
    )


def _refuse_out(source: Path, out: Path) -> None:
    home = source if source.is_dir() else source.parent
    if out.resolve() == home.resolve() or out.resolve().is_relative_to(source.resolve()):
        raise DataFault(f"{out} is inside the source {source}; choose another folder with --out")
    refuse_odd(out, "--out", DataFault)
    if exists(out) and (not out.is_dir() or any(out.iterdir())):
        raise DataFault(f"{out} is not empty; choose a new or empty folder with --out")


def _read(path: Path) -> Source:
    if exists(path) and detect_format(path) == "table" and (file := boxes_table(path)):
        return read_boxes_table(Path(os.path.abspath(file)), source_name(path))  # noqa: PTH100
    return read_source(path)


def _write(folder: Path, found: Source, to: Target) -> int:
    if isinstance(found, ClassificationSource):
        return write_pictures(folder, found.classes, found.splits)
    if to == "yolo":
        return write_yolo(folder, found.classes, found.splits)
    return write_objects(folder, found.classes, found.splits)


def _cut(found: Source, path: Path, request: SplitRequest) -> Source:
    """The source with new splits."""
    _refuse_shares(request)
    grouping = request.grouping
    if not grouping and detect_format(path) == "table":
        table = path if path.is_file() else table_file(path)
        grouping = Grouping(column=group_column(table)) if table else grouping
    root = path.resolve()
    if isinstance(found, DetectionSource):
        pictures = [each for split in SPLITS for each in found.splits.get(split, ())]
        strata = [_stratum(each) for each in pictures]
        given = _drawn(groups_of([each.image for each in pictures], root, grouping), strata, request)
        boxed: dict[SplitName, tuple[BoxedImage, ...]] = {
            split: tuple(each for each, its in zip(pictures, given, strict=True) if its == split)
            for split in SPLITS
        }
        return replace(found, splits={split: own for split, own in boxed.items() if own})
    return _cut_labelled(found, root, grouping, request)


def _cut_labelled(
    found: ClassificationSource, root: Path, grouping: Grouping, request: SplitRequest
) -> ClassificationSource:
    pairs = [
        (image, int(label))
        for own in found.splits.values()
        for image, label in zip(own.images, own.labels, strict=True)
        if isinstance(image, Path)
    ]
    groups = groups_of([image for image, _ in pairs], root, grouping)
    given = _drawn(groups, [str(label) for _, label in pairs], request)
    cut: dict[SplitName, LabelledImages] = {
        split: labelled([pair for pair, its in zip(pairs, given, strict=True) if its == split])
        for split in SPLITS
    }
    return replace(found, splits={split: own for split, own in cut.items() if len(own)})


def _drawn(groups: Sequence[str], strata: Sequence[str], request: SplitRequest) -> list[SplitName]:
    given = draw_splits(groups, strata, seed=request.seed, val=request.val, test=request.test)
    wanted = {"train": request.train, "val": request.val, "test": request.test}
    for split, share in wanted.items():
        if share > 0 and split not in given:
            raise DataFault(
                f"{len(set(groups))} groups are too few for a {split} split of {share:g}; "
                "use smaller groups, or fewer splits"
            )
    return given


def _stratum(picture: BoxedImage) -> str:
    """The most frequent class of an image."""
    counts = Counter(box.class_index for box in picture.boxes)
    return str(min(counts, key=lambda index: (-counts[index], index))) if counts else ""


def _refuse_shares(request: SplitRequest) -> None:
    shares = (request.train, request.val, request.test)
    if not min(shares) >= 0 or request.train == 0 or not abs(sum(shares) - 1) <= 1e-6:
        given = ",".join(f"{share:g}" for share in shares)
        raise BadSetting("--split", "fractions", given, "train,val,test that add up to 1, train above 0")
