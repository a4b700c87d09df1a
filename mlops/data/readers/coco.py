"""Read COCO JSON (Lin et al., ECCV 2014; cocodataset.org/#format-data) through pycocotools."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.data.dataset import Box, BoxedImage, DetectionSource, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.image_files import image_at
from mlops.data.readers.layout import SPLIT_OF_WORD, coco_files, upright_size
from mlops.data.readers.yolo_files import TOLERANCE, box_of_corners, box_of_outline
from mlops.data.splits import draw_detection
from mlops.errors import DataFault, brief
from mlops.files.regular_files import leads_out
from mlops.files.text_files import bare, quoted, read_json

_WIDEST = 2**31  # pixels
Record = Mapping[str, Any]  # one object of the file, as JSON gives it


def read(path: Path, name: str, seed: int = 0) -> DetectionSource:
    """Read one COCO file, or a folder's files by split (instances_train.json, valid/_annotations.coco.json).

    Classes are in the order of the category ids. Crowd regions are omitted. An outline in one part is kept;
    for one in several parts or a mask, only the box is kept. For a single file, or a file without a split in
    its name, splits are drawn by seed. Raises DataFault if a file is not a COCO file.
    """
    files = coco_files(path) if path.is_dir() else [path]
    root = (path if path.is_dir() else path.parent).resolve()
    of_split = {} if path.is_file() else _by_split(files, root)
    made_split = not of_split
    if "train" not in of_split and len(files) > 1:
        names = ", ".join(each.name for each in files)
        raise DataFault(
            f"{path}: none of {names} is named as train; use instances_train.json, instances_val.json, ..."
        )
    loaded = {
        split: _load(Path(os.path.abspath(file)))  # noqa: PTH100 (messages name the link)
        for split, file in (of_split or {"train": files[0]}).items()
    }
    classes = _classes(loaded.values())
    reading = _CocoReading(root, classes)
    splits = {split: reading.pictures(file, split) for split, file in loaded.items()}
    for split, own in splits.items():
        if not own:
            reading.faults.append(
                fault("empty-split", loaded[split].given, f"no images in the {split} split")
            )
    if made_split:
        splits = draw_detection(splits["train"], seed)
        says = "no splits; train, val and test are drawn from all images by seed"
        reading.faults.append(fault("made-split", files[0], says))
    return DetectionSource(
        name=name,
        root=root,
        classes=classes,
        splits=splits,
        files=(*(each.path for each in loaded.values()), *reading.files),
        faults=tuple(reading.faults),
        sizes=reading.sizes,
        made_split=made_split,
    )


def _by_split(files: Sequence[Path], root: Path) -> dict[SplitName, Path]:
    """The file of each split, by its name. Raises DataFault for two files of the same split."""
    found: dict[SplitName, Path] = {}
    for file in files:
        split = split_of(file, root)
        if split is not None and found.setdefault(split, file) is not file:
            raise DataFault(
                f"{root}: {found[split].name} and {file.name} are both for the split {split}; "
                "merge them, or pass each with --data"
            )
    return found


def split_of(file: Path, root: Path) -> SplitName | None:
    """The split in the name of a file or its folder."""
    words = re.split(r"[^a-z]+", file.stem.lower())
    if file.parent.resolve() != root:
        words.append(file.parent.name)
    return next((SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD), None)


@dataclass(frozen=True, slots=True)
class _CocoFile:
    """given: the path for messages, which may be a link to `path`."""

    path: Path
    given: Path
    images: Sequence[Record]
    annotations: Mapping[int, Sequence[Record]]
    categories: Mapping[int, str]


def _load(file: Path) -> _CocoFile:
    from pycocotools.coco import COCO

    coco = COCO()
    try:
        coco.dataset = read_json(file)
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        _refuse_doubled(coco.dataset.get("images", ()), file)
        images = sorted(coco.imgs.values(), key=lambda image: str(image["file_name"]))
        categories = {int(key): str(value["name"]) for key, value in sorted(coco.cats.items())}
    except KeyError as error:
        raise DataFault(f"{file}: not a COCO file: {error} is missing in an entry") from error
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        says = "" if leads_out(file) else f": {brief(error)}"
        raise DataFault(f"{file}: not a COCO file{says}") from error
    if not images or not categories:
        raise DataFault(f"{file}: not a COCO detection file: expected images, annotations and categories")
    return _CocoFile(file.resolve(), file, images, coco.imgToAnns, categories)


def _refuse_doubled(images: Sequence[Record], file: Path) -> None:
    """Raise DataFault if two images have the same id, as their annotations would be ambiguous."""
    names: dict[object, object] = {}
    for image in images:
        other = names.setdefault(image["id"], image.get("file_name"))
        if other != image.get("file_name"):
            raise DataFault(
                f"{file}: image id {quoted(image['id'], file)} is used by {bare(other, file)} and "
                f"{bare(image.get('file_name'), file)}; "
                "use a unique id for each image"
            )


def _classes(files: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for file in files for each in file.categories.values()))


@dataclass(slots=True)
class _CocoReading:
    """What was read so far, over all files."""

    root: Path
    classes: tuple[str, ...]
    files: list[Path] = field(default_factory=list)
    faults: FaultLog = field(default_factory=FaultLog)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def pictures(self, file: _CocoFile, split: str) -> tuple[BoxedImage, ...]:
        folders = _picture_folders(file.path, self.root, split)
        position = {name: number for number, name in enumerate(self.classes)}
        index = {key: position[name] for key, name in file.categories.items()}
        found: list[BoxedImage] = []
        for record in file.images:
            image = _picture(folders, str(record["file_name"]))
            if image is None:
                name = bare(record["file_name"], file.given)
                says = f"{name} does not exist in {folders[0]} or beside this file, or is not an image"
                self.faults.append(fault("missing-image", file.given, says))
                continue
            self.files.append(image)
            found.append(BoxedImage(image, self._boxes(file, record, image, index)))
        self._unknown_pictures(file)
        return tuple(found)

    def _boxes(
        self, file: _CocoFile, record: Record, image: Path, index: Mapping[int, int]
    ) -> tuple[Box, ...]:
        size = _size(record)
        if size is not None:
            self.sizes[image] = size
        else:
            try:
                size = upright_size(image)
            except DataFault as error:
                self.faults.append(fault("unreadable-image", image, _without_place(error, image)))
                return ()
            except Exception:  # noqa: BLE001 (Pillow's decoders raise any exception on broken content)
                return ()  # an unreadable image; the image check reports it
        boxes: list[Box] = []
        for each in file.annotations.get(record["id"], ()):
            if each.get("iscrowd"):
                continue
            box, wrong = _read_box(each, size, index, file.given)
            self.faults.extend(wrong)
            if box is not None:
                boxes.append(box)
        return tuple(boxes)

    def _unknown_pictures(self, file: _CocoFile) -> None:
        known = {record["id"] for record in file.images}
        for image_id, found in file.annotations.items():
            if image_id not in known:
                number = quoted(image_id, file.given)
                says = f"{len(found)} annotations have image id {number}, which is not in images"
                self.faults.append(fault("orphan-label", file.given, says))


def _read_box(
    annotation: Record, size: tuple[int, int], index: Mapping[int, int], file: Path
) -> tuple[Box | None, list[Fault]]:
    """One annotation's box; bbox is x, y, width, height in pixels."""
    place = f"annotation {quoted(annotation.get('id'), file)}"
    if not _is_key(annotation.get("category_id")) or annotation["category_id"] not in index:
        says = f"{place}: category_id {quoted(annotation.get('category_id'), file)} is not in categories"
        return None, [fault("unknown-class", file, says)]
    numbers = annotation.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != 4:
        return None, [
            fault(
                "wrong-columns",
                file,
                f"{place}: bbox is {quoted(numbers, file)}; expected x, y, width, height",
            )
        ]
    if not all(map(_is_finite, numbers)):
        return None, [
            fault("not-a-number", file, f"{place}: bbox is {quoted(numbers, file)}; expected finite numbers")
        ]
    left, top = numbers[0] / size[0], numbers[1] / size[1]
    right, bottom = left + numbers[2] / size[0], top + numbers[3] / size[1]
    if min(left, top) < -TOLERANCE or max(right, bottom) > 1 + TOLERANCE:
        says = f"{place}: bbox {quoted(numbers, file)} is outside the {size[0]}x{size[1]} image"
        return None, [fault("outside-image", file, says)]
    class_index = index[annotation["category_id"]]
    box, faults = box_of_corners(class_index, left, top, right, bottom, file, None)
    outline = _outline(annotation.get("segmentation"), size)
    if box is None:
        return None, [fault("zero-area", file, f"{place}: the box has no area and is omitted")]
    outlined = box_of_outline(class_index, outline, file, None)[0] if outline else None
    return outlined or box, faults


def _outline(segmentation: object, size: tuple[int, int]) -> tuple[float, ...]:
    if not isinstance(segmentation, list) or len(segmentation) != 1 or not isinstance(segmentation[0], list):
        return ()
    points = segmentation[0]
    if len(points) < 6 or len(points) % 2 or not all(map(_is_finite, points)):
        return ()
    return tuple(value / size[position % 2] for position, value in enumerate(points))


def _is_key(value: object) -> bool:
    return isinstance(value, (int, float, str))


def _without_place(error: DataFault, file: Path) -> str:
    return str(error).removeprefix(str(file)).lstrip(": ")


def _is_finite(value: object) -> bool:
    """False for an integer that is too large for a float, too."""
    return isinstance(value, (int, float)) and abs(value) < 1e300


def _size(record: Record) -> tuple[int, int] | None:
    width, height = record.get("width"), record.get("height")
    if isinstance(width, int) and isinstance(height, int) and 0 < width < _WIDEST and 0 < height < _WIDEST:
        return width, height
    return None


def _picture_folders(file: Path, root: Path, split: str) -> list[Path]:
    """Possible folders of a file's images, the most likely first."""
    tail = re.sub(r"^(instances|person_keypoints|captions)_", "", file.stem)
    names = ["", "images", split, f"images/{split}", tail, f"images/{tail}", f"{split}/images"]
    if split == "val":
        names += ["valid", "images/valid", "valid/images"]
    folders = [base / name for base in (file.parent, root, root.parent) for name in names]
    return [each for each in dict.fromkeys(folders) if each.is_dir()]


def _picture(folders: list[Path], name: str) -> Path | None:
    """The image of that name; its folder is searched first from then on."""
    for folder in folders:
        if (found := image_at(folder, name)) is not None:
            if folder is not folders[0]:
                folders.remove(folder)
                folders.insert(0, folder)
            return found
    return None
