"""Read data.yaml: class names, and where each split lies, wherever the file was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.data.dataset import SPLITS, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.images import SPLIT_OF_WORD, SPLIT_WORDS
from mlops.data.text_file import read_yaml
from mlops.errors import DataFault


@dataclass(frozen=True, slots=True)
class YoloConfig:
    """root: the folder that data.yaml lies in. places: folders or list files (.txt) of each split."""

    root: Path
    classes: tuple[str, ...]
    places: Mapping[SplitName, tuple[Path, ...]]
    faults: tuple[Fault, ...] = ()


def read_config(file: Path) -> YoloConfig:
    """Read data.yaml.

    A `path:` from another machine is passed over: places are looked for under it, then beside data.yaml, then
    with leading parts taken off. Raises DataFault where the file is broken, or train or val is named and not
    there.
    """
    fields = _fields(file)
    classes = _classes(file, fields)
    places: dict[SplitName, tuple[Path, ...]] = {}
    faults: list[Fault] = []
    for split in SPLITS:
        entry = next((fields[word] for word in SPLIT_WORDS[split] if fields.get(word)), None)
        if entry is None:
            continue
        entries = entry if isinstance(entry, list) else [entry]
        found = [_place(file, fields.get("path"), str(each)) for each in entries]
        if all(found):
            places[split] = tuple(each for each in found if each is not None)
        elif split == "test":
            faults.append(
                fault("no-test-split", file, f"test: {entry} is not there; going on without a test split")
            )
        else:
            lost = entries[found.index(None)]
            raise DataFault(
                f"{file}: {split}: {lost} is not there; write where it is, relative to {file.parent}"
            )
    if "train" not in places:
        raise DataFault(f"{file}: no train: entry; name the folder of training pictures")
    return YoloConfig(file.parent, classes, places, tuple(faults))


def _fields(file: Path) -> dict[str, object]:
    fields = read_yaml(file)
    if not isinstance(fields, dict):
        raise DataFault(f"{file}: holds no keys; a data.yaml names train, val and names")
    return {str(key): value for key, value in fields.items()}


def _classes(file: Path, fields: Mapping[str, object]) -> tuple[str, ...]:
    names, count = fields.get("names"), fields.get("nc")
    if isinstance(names, dict):
        try:
            named = {int(key): str(value) for key, value in names.items()}
        except (TypeError, ValueError) as error:
            raise DataFault(f"{file}: names: {error}; the keys are class numbers, counted from 0") from error
        if sorted(named) != list(range(len(named))):
            raise DataFault(
                f"{file}: names: the numbers are {sorted(named)}; they go from 0 on with none left out"
            )
        classes = tuple(named[index] for index in range(len(named)))
    elif isinstance(names, list):
        classes = tuple(str(each) for each in names)
    elif names is None and isinstance(count, int) and count > 0:
        classes = tuple(f"class_{index}" for index in range(count))
    else:
        raise DataFault(f"{file}: names is {names!r}; give a list of class names, or numbers and names")
    if not classes:
        raise DataFault(f"{file}: names is empty; give one name a class")
    if isinstance(count, int) and count != len(classes):
        raise DataFault(f"{file}: nc is {count}, but names has {len(classes)}")
    if len(set(classes)) != len(classes):
        twice = next(each for each in classes if classes.count(each) > 1)
        raise DataFault(f"{file}: names has {twice!r} twice; give each class a name of its own")
    return classes


def _place(file: Path, base: object, entry: str) -> Path | None:
    """Where an entry lies on this machine; None where it is nowhere."""
    home = file.resolve().parent
    roots = [home / str(base), home] if base else [home]
    for variant in _spellings(entry):
        for root in roots:
            if (root / variant).exists():
                return (root / variant).resolve()
    return None


def _spellings(entry: str) -> list[str]:
    """The entry as it stands, then with leading parts off (Roboflow's `../train/images`, a foreign path)."""
    parts = [part for part in Path(entry).parts if part not in ("..", ".", "/")]
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    tails = [tail for tail in tails if "/" in tail or tail.split(".")[0] in SPLIT_OF_WORD]
    spellings = [entry, *tails]
    swapped = [
        "/".join(other if part == word else part for part in Path(each).parts).replace("//", "/")
        for each in spellings
        for word, other in (("val", "valid"), ("valid", "val"))
        if word in Path(each).parts
    ]
    return spellings + swapped
