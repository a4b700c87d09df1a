"""The images of a version's data: held-out images for parity, training images for calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.data.dataset import ClassificationDataset, DetectionDataset, SplitName
from mlops.data.readers.layout import upright_size
from mlops.errors import DataFault, MlopsError, UserError
from mlops.prediction.onnx_model import Preprocessing

if TYPE_CHECKING:
    from mlflow.entities import Run
    from numpy.typing import NDArray

    from mlops.data.dataset import BoxedImage, Dataset
    from mlops.prediction.onnx_model import Picture


@dataclass(frozen=True, slots=True)
class HeldOutImages:
    """Images that the version was not trained on, with their ground truth.

    split: `test`, or `val` if the data have no test split. labels: (N,) for a classifier.
    boxes: for a detector, per image (n, 5): class index, x1, y1, x2, y2 in pixels.
    A joint version has both. demo: synthetic images, which may be distributed.
    """

    split: SplitName
    pictures: Sequence[Picture]
    labels: NDArray[np.int64] | None
    boxes: tuple[NDArray[np.float64], ...] | None
    demo: bool

    def __len__(self) -> int:
        return len(self.pictures)


def open_data(
    run: Run, tags: Mapping[str, str], given: Sequence[str], class_map: Path | None, cache: Path
) -> Dataset:
    """The data set that the version was trained on.

    given: its current paths; () for those recorded by the run. Missing demo data are generated again.
    Raises UserError if the data are not found or their digest is not the version's.
    """
    from mlops.data import open_dataset
    from mlops.data.class_map import given_or_recorded
    from mlops.data.places import names_of
    from mlops.store.resolve import recorded_class_map

    name, wanted = tags.get("mlops.system", ""), tags.get("mlops.dataset_digest", "")
    seed = int(run.data.params.get("seed", "0") or 0)
    paths = tuple(given) or _where_it_lay(run, tags, name, cache, seed)
    task, classes = _system(name, tags)
    hint = "pass the version's data with --data (and its --class-map, if it was trained with one)"
    try:
        dataset = open_dataset(
            paths,
            task,
            cache=cache,
            class_map=given_or_recorded(class_map, recorded_class_map(run), names_of(paths), "the version"),
            seed=seed,
            classes=classes,
            image_label=run.data.params.get("image_label", "labels.csv"),
        )
    except (MlopsError, OSError) as error:
        if given:
            raise
        raise DataFault(f"cannot read the version's training data: {error}; {hint}") from error
    if dataset.identity.digest != wanted:
        raise UserError(
            f"{', '.join(paths)} is not the version's training data: its digest is "
            f"{dataset.identity.digest[:12]}, expected {wanted[:12] or 'unknown'}; {hint}"
        )
    return dataset


def _where_it_lay(run: Run, tags: Mapping[str, str], system: str, cache: Path, seed: int) -> tuple[str, ...]:
    from mlops.data import demo_dataset
    from mlops.store.resolve import data_sources
    from mlops.systems import list_systems

    paths = data_sources(run)
    gone = not paths or any("://" not in path and not Path(path).exists() for path in paths)
    if gone and tags.get("mlops.demo") == "true" and system in list_systems():
        return (str(demo_dataset(system, cache / "demo" / system, seed=seed)),)
    if not paths:
        raise DataFault("the version's run records no data set; pass the version's data with --data")
    return paths


def _system(name: str, tags: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Task and classes of the system; from the tags for a user's own system."""
    import json

    from mlops.systems import list_systems, load_system

    if name in list_systems():
        spec = load_system(name)
        return spec.task, spec.classes
    held = json.loads(tags.get("mlops.class_map") or "{}")
    task = "detection" if "nms" in json.loads(tags.get("mlops.preprocessing") or "{}") else "classification"
    return task, tuple(held[index] for index in sorted(held, key=int))


def held_out(dataset: Dataset, most: int) -> HeldOutImages:
    """At most `most` images of the test split, a deterministic choice. Raises DataFault if it is empty."""
    split: SplitName = "test" if dataset.splits.get("test") else "val"
    count = len(dataset.splits[split])
    if not count:
        raise DataFault(f"{dataset.identity.path} has no held-out images to compare on (test or val split)")
    chosen = spread(count, most)
    demo = dataset.identity.demo
    if isinstance(dataset, ClassificationDataset):
        labelled = dataset.splits[split]
        pictures = [labelled.images[index] for index in chosen]
        return HeldOutImages(split, pictures, np.asarray(labelled.labels)[chosen], None, demo)
    boxed = [dataset.splits[split][index] for index in chosen]
    labels = np.array([each.image_class for each in boxed], np.int64) if dataset.image_classes else None
    return HeldOutImages(split, [each.image for each in boxed], labels, tuple(map(_corners, boxed)), demo)


def answered_by(held: HeldOutImages, stated: Mapping[str, Any]) -> HeldOutImages:
    """`held` with only the ground truth of the tasks in the version's preprocessing `stated`: a version
    trained on joint data may predict only boxes or only classes.
    """
    boxes, classes = bool(stated.get("nms")), "image_classes" in stated
    return replace(
        held,
        boxes=held.boxes if boxes else None,
        labels=held.labels if classes or not boxes else None,
    )


def calibration(dataset: Dataset, stated: Mapping[str, Any], most: int) -> Iterator[NDArray[np.float32]]:
    """At most `most` training images, a deterministic choice, prepared: (3, side, side) float32."""
    prepare = Preprocessing.of(stated).prepare
    for index in spread(len(dataset.splits["train"]), most):
        if isinstance(dataset, DetectionDataset):
            yield prepare(dataset.splits["train"][index].image).values
        else:
            yield prepare(dataset.splits["train"].images[index]).values


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, by a deterministic shuffle, independent of the order of the data.

    >>> len(spread(10, 3)), spread(2, 5) == [0, 1]
    (3, True)
    """
    if count <= most:
        return list(range(count))
    by_chance = sorted(range(count), key=lambda index: hashlib.sha256(str(index).encode()).digest())
    return sorted(by_chance[:most])


def _corners(picture: BoxedImage) -> NDArray[np.float64]:
    width, height = upright_size(picture.image)
    rows = [
        (
            each.class_index,
            (each.x - each.width / 2) * width,
            (each.y - each.height / 2) * height,
            (each.x + each.width / 2) * width,
            (each.y + each.height / 2) * height,
        )
        for each in picture.boxes
    ]
    return np.array(rows, np.float64).reshape(-1, 5)
