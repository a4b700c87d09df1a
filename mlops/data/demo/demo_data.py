"""Write the demo data of a system into a folder, once and atomically."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.demo.blood import write_blood
from mlops.data.demo.oct import write_joint, write_oct
from mlops.data.demo.railway import write_railway
from mlops.data.demo.scene import DemoPlan, make_plan
from mlops.data.demo.xray import write_xray
from mlops.errors import BadSetting, DataFault
from mlops.files.atomic import new_folder
from mlops.files.text_files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops.data.dataset import SplitName

MARKER = "demo.json"
MARKER_BYTES = 8_000_000
FORMAT = 1  # raise it when the images change, so that older demo data are replaced


@dataclass(frozen=True, slots=True)
class Amount:
    """side: of every image in pixels; then the number of images by split."""

    side: int
    train: int
    val: int
    test: int

    def pictures(self) -> dict[SplitName, int]:
        return {"train": self.train, "val": self.val, "test": self.test}


@dataclass(frozen=True, slots=True)
class DemoWriter:
    write: Callable[[Path, DemoPlan], tuple[str, ...]]
    small: Amount
    tiny: Amount


SYSTEMS: dict[str, DemoWriter] = {
    "blood-cell-classifier": DemoWriter(write_blood, Amount(48, 1600, 320, 320), Amount(28, 160, 64, 64)),
    "railway-detector": DemoWriter(write_railway, Amount(160, 160, 40, 40), Amount(96, 24, 8, 8)),
    "oct-detector": DemoWriter(write_oct, Amount(160, 160, 40, 40), Amount(96, 24, 8, 8)),
    "joint-detector": DemoWriter(write_joint, Amount(160, 160, 40, 40), Amount(96, 24, 8, 8)),
    "xray-detector": DemoWriter(write_xray, Amount(160, 240, 60, 60), Amount(96, 42, 28, 28)),
}


@dataclass(frozen=True, slots=True)
class Marker:
    """Content of `demo.json`: the request, the classes, and every other file with its size in bytes.

    converted: the files were converted from demo data; system, seed and size do not reproduce them.
    """

    format: int
    system: str
    seed: int
    size: str
    classes: tuple[str, ...]
    files: dict[str, int]
    converted: bool = False


def demo_dataset(system_name: str, folder: Path, seed: int = 0, size: str = "small") -> Path:
    """Write the demo data of a system into `folder`, and return the folder.

    The same system, seed and size give the same bytes. A folder with exactly this data is unchanged; other or
    incomplete demo data are replaced atomically. `demo.json` describes the data.

    Raises BadSetting for a system without demo data or an unknown size, DataFault for a folder with other
    files.
    """
    if system_name not in SYSTEMS:
        raise BadSetting("demo data", "system", system_name, ", ".join(SYSTEMS))
    if size not in ("small", "tiny"):
        raise BadSetting("demo data", "size", size, "small, tiny")
    if seed < 0:
        raise BadSetting("demo data", "seed", seed, "0 and above")
    folder = folder.absolute()
    if _holds(folder, system_name, seed, size):
        return folder
    _refuse_foreign(folder)
    with new_folder(folder, "replace") as work:
        _write(work, system_name, seed, size)
    return folder


def read_marker(folder: Path) -> Marker | None:
    """The marker of a folder, or None if it is missing or unreadable."""
    try:
        fields = read_json(folder / MARKER, MARKER_BYTES)
        return Marker(**(fields | {"classes": tuple(fields["classes"])}))
    except (OSError, DataFault, TypeError, KeyError, AttributeError):
        return None


def pass_on_marker(source: Path, converted: Path) -> None:
    """Mark data converted from the demo data in `source` as demo data, so that models are not released."""
    marker = read_marker(source)
    if marker is not None:
        _mark(converted, replace(marker, files=_sizes(converted), converted=True))


def _holds(folder: Path, system_name: str, seed: int, size: str) -> bool:
    marker = read_marker(folder)
    if marker is None or marker.converted:
        return False
    if (marker.format, marker.system, marker.seed, marker.size) != (FORMAT, system_name, seed, size):
        return False
    with suppress(FileNotFoundError, NotADirectoryError):
        return all((folder / name).stat().st_size == length for name, length in marker.files.items())
    return False


def _refuse_foreign(folder: Path) -> None:
    """Raise DataFault unless `folder` is missing, empty or has only demo data."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataFault(f"{folder} is a file; choose a folder for the demo data")
    marker = read_marker(folder)
    ours = {MARKER, *marker.files} if marker and not marker.converted else set()
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in ours:
            what = "other files beside demo data" if ours else "files that are not demo data"
            first = path.relative_to(folder)
            raise DataFault(f"{folder} has {what}, such as {first}; choose a new or empty folder")


def _write(folder: Path, system_name: str, seed: int, size: str) -> None:
    recipe = SYSTEMS[system_name]
    amount = recipe.small if size == "small" else recipe.tiny
    classes = recipe.write(folder, make_plan(system_name, seed, amount.side, amount.pictures()))
    _mark(folder, Marker(FORMAT, system_name, seed, size, classes, _sizes(folder)))


def _sizes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _mark(folder: Path, marker: Marker) -> None:
    (folder / MARKER).write_text(json.dumps(asdict(marker), indent=1) + "\n", encoding="utf-8")
