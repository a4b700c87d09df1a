"""Reading, checking and naming data sets, and making demo data.

The functions here are the package's public ones; what they need is imported when they are called.
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
    """Read one or several data sets as one, and take its digest.

    paths: folders, files or s3:// prefixes, in any format of `mlops.data.readers`.
    task: detection, classification or joint; data that cannot serve it are refused.
    cache: where digests, fetched and derived files are kept; nothing is written beside the data.
    class_map: see `mlops.data.class_map`; without one, classes of the same name are the same class.
    version: the user's own name for the data, kept in the identity.
    seed: draws the splits of a set that has none.
    classes: the system's; names for labels where the format has none (npz), and the order where several
        sources are merged.
    image_label: for the joint task, where each picture's own class comes from; see `readers.image_label`.

    Raises DataFault (unreadable, errors in the labels, no train or val pictures, other task) and BadSetting
    (a class or source that the class map leaves out).
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

    task: what the data are meant for; None for a check without that in mind.
    cache: where fetched data and what was seen of each picture are kept, so that a second check is quick.
    seed: as `open_dataset`'s, so that what is checked are the splits that will be trained on.
    on_progress: called with (done, total) pictures; without one, a bar is drawn on a terminal.
    image_label: as `open_dataset`'s; looked at for the joint task.

    Raises OSError where the cache cannot be written, DataFault where an object store does not answer.
    """
    from mlops.data.checking.check import check_dataset as checked

    return checked(paths, task, cache=cache, seed=seed, on_progress=on_progress, image_label=image_label)


def demo_dataset(
    system_name: str, folder: Path, seed: int = 0, size: Literal["small", "tiny"] = "small"
) -> Path:
    """Write a system's demo data into `folder` (same seed, same bytes) and give what `--data` takes."""
    from mlops.data.demo import demo_dataset as made

    return made(system_name, folder, seed, size)
