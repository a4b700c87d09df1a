"""Find pictures."""

from __future__ import annotations

import os
from pathlib import Path

from mlops.data.dataset import SplitName

# what both Ultralytics and Pillow read, to the format that Pillow finds in such a file
FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SUFFIXES = frozenset(FORMAT_OF_SUFFIX)


def is_picture(name: str) -> bool:
    """By its name: a known suffix, and not hidden (`._a.jpg` is how macOS keeps a file's attributes)."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (20,000 times)


def pictures_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """Every picture in `folder`, and below it when `deep`, in the order of their names.

    None where there is no such folder. Raises PermissionError where one may not be looked into.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_unless_gone):
        here = Path(place)
        found.extend(here / name for name in names if is_picture(name))
        if not deep:
            folders.clear()
    return sorted(found)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in `folder` that are not hidden, in the order of their names."""
    return sorted(
        each for each in folder.iterdir() if each.is_dir() and not each.name.startswith((".", "__"))
    )


def folder_of_split(root: Path, split: SplitName) -> Path | None:
    """The folder of a split directly in `root`, under whichever of its usual names."""
    for name in SPLIT_WORDS[split]:
        if (root / name).is_dir():
            return root / name
    return None


SPLIT_WORDS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF_WORD: dict[str, SplitName] = {word: split for split, words in SPLIT_WORDS.items() for word in words}
