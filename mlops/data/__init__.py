"""Reading, checking and naming data sets, and making demo data.

The functions here are the package's API; they import what they need when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlops.data.checking.image_hashes import OnProgress
    from mlops.data.class_map import ClassMap
    from mlops.data.dataset import Dataset
    from mlops.data.faults import Fault

__all__ = ["check_dataset", "demo_dataset", "open_dataset"]


def open_dataset(
    paths: Sequence[str],
    task: str,
    *,
    cache: Path,
    class_map: Path | ClassMap | None = None,
    version: str = "",
    seed: int = 0,
    classes: Sequence[str] = (),
    image_label: str = "labels.csv",
) -> Dataset:
    """Read one or several data sets as one and compute its digest.

    paths: folders, files or s3:// prefixes, in any format of `mlops.data.readers`.
    task: detection, classification or joint; data of another task are an error.
    cache: folder of digests, fetched and derived files; nothing is written beside the data.
    class_map: see `mlops.data.class_map`; without one, classes of the same name are the same class.
    version: the user's name for the data, kept in the identity.
    seed: for drawing the splits of a set that has none.
    classes: the system's classes: label names for formats without names (npz), and the order of the merged
        classes of several sources.
    image_label: for the joint task, the source of each image's class; see `readers.image_label`.

    Raises DataFault (unreadable, errors in the labels, no train or val images, other task) and BadSetting
    (a class or source that is missing in the class map).
    """
    from mlops.data.opening import open_dataset as opened

    return opened(
        paths,
        task,
        cache=cache,
        class_map=class_map,
        version=version,
        seed=seed,
        classes=classes,
        image_label=image_label,
    )


def check_dataset(
    paths: Sequence[str],
    task: str | None,
    *,
    cache: Path,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    image_label: str = "labels.csv",
) -> list[Fault]:
    """Every fault of one or several data sets, errors first; a path that cannot be read is one of them.

    task: the task that the data must fit; None to skip this check.
    cache: folder of fetched data and of results by image, so that a second check is fast.
    seed: as in `open_dataset`, so that the splits that will be used for training are checked.
    on_progress: called with (done, total) images; None shows a progress bar on a terminal.
    image_label: as in `open_dataset`; used for the joint task only.

    Raises OSError if the cache cannot be written, DataFault if an object store does not answer.
    """
    from mlops.data.checking.check import check_dataset as checked

    return checked(paths, task, cache=cache, seed=seed, on_progress=on_progress, image_label=image_label)


def demo_dataset(
    system_name: str, folder: Path, seed: int = 0, size: Literal["small", "tiny"] = "small"
) -> Path:
    """Write a system's demo data into `folder` (same seed, same bytes). Returns the value for `--data`."""
    from mlops.data.demo import demo_dataset as made

    return made(system_name, folder, seed, size)
