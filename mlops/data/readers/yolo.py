"""Read YOLO sets: data.yaml, or folders of `images` and `labels`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlops.data.dataset import SPLITS, Box, BoxedImage, DetectionSource, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.image_files import image_at
from mlops.data.image_suffixes import is_picture
from mlops.data.readers.layout import folder_of_split, pictures_in, yolo_yaml
from mlops.data.readers.yolo_files import YoloConfig, read_config, read_labels
from mlops.data.splits import draw_detection
from mlops.errors import DataFault
from mlops.files.limits import ANNOTATION_BYTES, LIST_BYTES
from mlops.files.regular_files import is_link, is_regular
from mlops.files.text_files import bare, quoted, read_text

_CLASS_NUMBER = re.compile("[0-9]{1,4}")
_NO_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "labels.txt"})


def read(path: Path, name: str, seed: int = 0) -> DetectionSource:
    """Read a data.yaml or its folder; without one, splits come from folders and class names from classes.txt.

    Raises DataFault if data.yaml is invalid, or there are no images or no class names.
    """
    file = path if path.is_file() else yolo_yaml(path)
    config = read_config(file) if file is not None else _config_of_folder(path)
    pictures: dict[SplitName, list[Path]] = {}
    faults = list(config.faults)
    for split, places in config.places.items():
        pictures[split], wrong = _pictures(places)
        faults.extend(wrong)
        if not pictures[split]:
            faults.append(fault("empty-split", places[0], f"no images in the {split} split"))

    read_from = _Labels(config.classes)
    labelled = {split: tuple(map(read_from.picture, found)) for split, found in pictures.items()}
    faults.extend(read_from.faults)
    faults.extend(_orphans(each for found in pictures.values() for each in found))
    made_split = set(labelled) == {"train"} and file is None
    if made_split:
        labelled = draw_detection(labelled["train"], seed)
        faults.append(
            fault("made-split", path, "no splits; train, val and test are drawn from all images by seed")
        )
    return DetectionSource(
        name=name,
        root=config.root.resolve(),
        classes=config.classes,
        splits=labelled,
        files=tuple(read_from.files),
        faults=tuple(faults),
        made_split=made_split,
    )


def label_file(picture: Path) -> Path:
    """An image's label file: the last `images` in its path becomes `labels` (Ultralytics' rule)."""
    before, found, after = str(picture).rpartition(f"{os.sep}images{os.sep}")
    return Path(f"{before}{os.sep}labels{os.sep}{after}" if found else picture).with_suffix(".txt")


class _Labels:
    """Reads each image's labels once; collects files and faults."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.faults = FaultLog()
        self.files: list[Path] = []
        self._known: dict[Path, BoxedImage] = {}

    def picture(self, image: Path) -> BoxedImage:
        if image not in self._known:
            self._known[image] = BoxedImage(image, self._boxes(image))
        return self._known[image]

    def _boxes(self, image: Path) -> tuple[Box, ...]:
        self.files.append(image)
        label = label_file(image)
        try:
            boxes, faults = read_labels(label, self.classes)
        except (FileNotFoundError, NotADirectoryError):
            self.faults.append(
                fault("missing-label", image, f"label file {label.name} is missing; used as background")
            )
            return ()
        self.files.append(label)
        self.faults.extend(faults)
        return boxes


def _pictures(places: Iterable[Path]) -> tuple[list[Path], list[Fault]]:
    found: list[Path] = []
    faults: list[Fault] = []
    for place in places:
        if place.is_dir():
            found.extend(pictures_in(place))
        elif is_picture(place.name):
            found.append(place)
        else:
            listed, wrong = _listed(place)
            found.extend(listed)
            faults.extend(wrong)
    return list(dict.fromkeys(found)), faults


def _listed(file: Path) -> tuple[list[Path], list[Fault]]:
    """The images listed in a .txt, one per line, relative to the file."""
    lines = read_text(file, LIST_BYTES).splitlines()
    found: list[Path] = []
    faults = FaultLog()
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line in seen:
            continue
        seen.add(line)
        picture = image_at(file.parent, line.strip())
        if picture is not None:
            found.append(Path(os.path.abspath(picture)))  # noqa: PTH100 (a symlink keeps its name)
        else:
            says = f"{bare(line.strip(), file)} does not exist, or is not an image"
            faults.append(fault("missing-image", file, says, number))
    return found, faults


def _orphans(pictures: Iterable[Path]) -> list[Fault]:
    """Label files without an image, in the folders of the labels."""
    stems_of: dict[Path, set[str]] = {}
    for folder in {picture.parent for picture in pictures}:
        stems = {each.stem for each in folder.iterdir() if is_picture(each.name)}
        stems_of.setdefault(label_file(folder / "x.jpg").parent, set()).update(stems)
    return [
        fault("orphan-label", label, "the image of this label file is missing")
        for folder, stems in sorted(stems_of.items())
        if folder.is_dir()
        for label in sorted(folder.glob("*.txt"))
        if label.stem not in stems and label.name not in _NO_LABELS and not label.name.startswith("README")
    ]


def _config_of_folder(folder: Path) -> YoloConfig:
    """The content of a data.yaml, derived from a folder without one."""
    places = _places_of_folder(folder)
    if not places:
        raise DataFault(
            f"{folder}: no images found; expected images/ and labels/, or train/images/ and train/labels/"
        )
    return YoloConfig(folder, _classes_of_folder(folder, places), places)


def _places_of_folder(folder: Path) -> dict[SplitName, tuple[Path, ...]]:
    for above in (folder, folder / "images"):
        if above.is_dir():
            split_folders = {split: folder_of_split(above, split) for split in SPLITS}
            places: dict[SplitName, tuple[Path, ...]] = {
                split: (_inner(found),) for split, found in split_folders.items() if found is not None
            }
            if places:
                return places
    pool = folder / "images" if (folder / "images").is_dir() else folder
    return {"train": (pool.resolve(),)} if pictures_in(pool) else {}


def _inner(folder: Path) -> Path:
    return (folder / "images" if (folder / "images").is_dir() else folder).resolve()


def _classes_of_folder(folder: Path, places: Mapping[SplitName, tuple[Path, ...]]) -> tuple[str, ...]:
    """classes.txt (as LabelImg writes it), else numbered classes up to the highest in the labels."""
    for place in (folder, folder / "labels"):
        file = place / "classes.txt"
        if is_regular(file):
            return _listed_classes(file)
    highest = -1
    for picture in (each for found in places.values() for each in _pictures(found)[0]):
        label = label_file(picture)
        if is_regular(label):
            rows = read_text(label, ANNOTATION_BYTES).splitlines()
            firsts = (row.split()[0] for row in rows if row.split())
            highest = max([highest, *(int(first) for first in firsts if _CLASS_NUMBER.fullmatch(first))])
    if highest < 0:
        raise DataFault(
            f"{folder}: no class names; write a data.yaml with train, val and names, or a classes.txt"
        )
    return tuple(f"class_{index}" for index in range(highest + 1))


def _listed_classes(file: Path) -> tuple[str, ...]:
    """One class a line. A link to a file of another name is refused: any text would do as class names."""
    target = Path(os.path.realpath(file))
    if is_link(file) and target.name != file.name and target.suffix:
        raise DataFault(f"{file} links to {target}, which is not a {file.name}; it is not read")
    classes = tuple(line.strip() for line in read_text(file).splitlines() if line.strip())
    twice = next((name for name, count in Counter(classes).items() if count > 1), None)
    if twice is not None:
        raise DataFault(f"{file}: {quoted(twice, file)} is listed twice; write a unique name for each class")
    return classes
