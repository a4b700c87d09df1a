"""The class of a whole image: from a table, a folder, or a rule over its boxes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from mlops.data.dataset import Box, BoxedImage, DetectionSource, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.readers.layout import IMAGE_COLUMNS, LABEL_COLUMNS, SPLIT_OF_WORD
from mlops.errors import BadSetting, DataFault
from mlops.files.regular_files import is_regular
from mlops.files.text_files import bare, quoted, read_table

TABLE = "labels.csv"
PRESENT, LARGEST, FOLDER, NONE = "present:", "largest", "folder", "none"
ALLOWED = "a table's name or path (labels.csv), folder, present:CLASS or largest"
_NO_CLASS_FOLDERS = {"images", "JPEGImages", *SPLIT_OF_WORD}

Pictures: TypeAlias = Mapping[SplitName, tuple[BoxedImage, ...]]


@dataclass(frozen=True, slots=True)
class Named:
    """Image labels that do not depend on boxes.

    labels: by image. files: the files read, which are part of the data's digest.
    """

    labels: Mapping[Path, str]
    files: tuple[Path, ...] = ()
    faults: tuple[Fault, ...] = ()


def check_rule(rule: str) -> str:
    """`rule` itself. Raises BadSetting if it is not one of the four kinds."""
    of_boxes = rule == LARGEST or (rule.startswith(PRESENT) and rule != PRESENT)
    if not of_boxes and rule != FOLDER and Path(rule).suffix.lower() not in (".csv", ".tsv"):
        raise BadSetting("the recipe", "image_label", rule, ALLOWED)
    return rule


def named_labels(source: DetectionSource, rule: str) -> Named:
    """Labels that do not come from boxes; empty if the rule uses boxes.

    Raises DataFault if the table is missing or has no columns image and label.
    """
    if check_rule(rule) == FOLDER:
        return _of_folders(source)
    if rule == LARGEST or rule.startswith(PRESENT):
        return Named({})
    file = _table(source, rule)
    pictures = [each.image for each in _every(source.splits)]
    labels, faults = labels_of_table(file, pictures)
    missing = dict.fromkeys(each for each in pictures if each not in labels)
    faults += [
        fault("missing-image-label", each, f"{file.name} has no label for this image") for each in missing
    ]
    return Named(labels, (file.resolve(),), tuple(faults))


def with_image_classes(
    splits: Pictures, classes: Sequence[str], rule: str, named: Mapping[Path, str]
) -> tuple[tuple[str, ...], dict[SplitName, tuple[BoxedImage, ...]]]:
    """The image classes, and the images with `image_class` set.

    classes: of the boxes. named: labels of all images if they do not come from boxes.
    Raises DataFault if all training images have the same class.
    """
    if rule.startswith(PRESENT):
        wanted = rule.removeprefix(PRESENT)
        if wanted not in classes:
            raise DataFault(
                f"image_label={rule}: box class {wanted!r} is unknown; expected one of {', '.join(classes)}"
            )
        image_classes: tuple[str, ...] = (f"no {wanted}", wanted)
        index = list(classes).index(wanted)
        found = {
            each.image: image_classes[any(box.class_index == index for box in each.boxes)]
            for each in _every(splits)
        }
    elif rule == LARGEST:
        image_classes = tuple(dict.fromkeys((NONE, *classes)))
        found = {each.image: _largest(each.boxes, classes) for each in _every(splits)}
    else:
        image_classes, found = tuple(sorted({named[each.image] for each in _every(splits)})), dict(named)
    _refuse_one_class({found[each.image] for each in splits["train"]}, rule)
    place = {name: index for index, name in enumerate(image_classes)}
    return image_classes, {
        split: tuple(replace(each, image_class=place[found[each.image]]) for each in pictures)
        for split, pictures in splits.items()
    }


def _largest(boxes: Sequence[Box], classes: Sequence[str]) -> str:
    if not boxes:
        return NONE
    return classes[max(boxes, key=lambda box: box.width * box.height).class_index]


def _refuse_one_class(in_train: set[str], rule: str) -> None:
    if len(in_train) < 2:
        raise DataFault(
            f"every training image has the image class {in_train.pop()!r} with image_label={rule}, but "
            "training needs at least two classes; choose another with --set image_label=..."
        )


def _of_folders(source: DetectionSource) -> Named:
    labels = {each.image: each.image.parent.name for each in _every(source.splits)}
    faults = tuple(
        fault("missing-image-label", image, f"is in {name}/, which is not a class folder")
        for image, name in labels.items()
        if name in _NO_CLASS_FOLDERS
    )
    return Named(labels, (), faults)


def _table(source: DetectionSource, rule: str) -> Path:
    """A bare name is relative to the data; a path may also be relative to the working directory."""
    given = Path(rule).expanduser()
    places = [source.root / given] + ([given.absolute()] if len(given.parts) > 1 else [])
    for file in places:
        if is_regular(file):
            return Path(os.path.abspath(file))  # noqa: PTH100 (messages name a link)
    where = " or ".join(str(each) for each in dict.fromkeys(places))
    raise DataFault(
        f"no table of image labels at {where}; create one (columns image, label), or derive the labels with "
        "image_label=present:CLASS, largest or folder"
    )


def _every(splits: Pictures) -> Iterator[BoxedImage]:
    return (picture for pictures in splits.values() for picture in pictures)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    name: str
    label: str


def labels_of_table(file: Path, pictures: Iterable[Path]) -> tuple[dict[Path, str], list[Fault]]:
    """The label of each of `pictures` that the table has, and the faults of its rows.

    An image's name is its path relative to the table (or to images/ there), its file name, or its stem.
    Raises DataFault if the table cannot be read or its header has no image and label column.
    """
    faults = FaultLog()
    places = _Places(file.resolve().parent, pictures)
    labels: dict[Path, str] = {}
    line_of: dict[Path, int] = {}
    for row in _rows(file, faults):
        found = places.find(row.name)
        if len(found) != 1:
            name = quoted(row.name, file)
            says = f"{name} matches {len(found)} images; write the path" if found else (
                f"{name} is not an image of this data set"
            )  # fmt: skip
            faults.append(fault("orphan-image-label", file, says, row.line))
            continue
        (picture,) = found
        if labels.setdefault(picture, row.label) != row.label:
            first, label = (bare(each, file) for each in (labels[picture], row.label))
            says = f"{picture.name} is {label}, but {first} in line {line_of[picture]}"
            faults.append(fault("conflicting-label", file, says, row.line))
        line_of.setdefault(picture, row.line)
    return labels, faults


def _rows(file: Path, faults: list[Fault]) -> Iterator[_Row]:
    """The rows with a name and a label; a row with an empty label is ignored."""
    table = read_table(file)
    header = [each.strip().lower() for each in next(table, (1, []))[1]]
    image, label = _position(header, IMAGE_COLUMNS), _position(header, LABEL_COLUMNS)
    if image is None or label is None:
        raise DataFault(f"{file}: columns are {quoted(header, file)}; expected image and label")
    for line, cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            says = f"expected {len(header)} columns, got {len(cells)}"
            faults.append(fault("wrong-columns", file, says, line))
        elif cells[label].strip():
            yield _Row(line, cells[image].strip(), cells[label].strip())


def _position(header: Sequence[str], accepted: Sequence[str]) -> int | None:
    return next((header.index(each) for each in accepted if each in header), None)


class _Places:
    """Finds images of a set by the names in a table."""

    def __init__(self, folder: Path, pictures: Iterable[Path]) -> None:
        self._folder = folder
        self._paths: dict[Path, Path] = {}
        self._names: dict[str, set[Path]] = defaultdict(set)
        for picture in pictures:
            self._paths[picture.absolute()] = picture
            self._paths[picture.resolve()] = picture
            for name in {picture.name, picture.stem}:
                self._names[name].add(picture)

    def find(self, name: str) -> set[Path]:
        for base in (self._folder, self._folder / "images"):
            exact = self._paths.get(base / name)
            if exact is not None:
                return {exact}
        return self._names.get(name, set())
