"""The data that a version is measured on: found, opened, and known to be what it is said to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.data import open_dataset
from mlops.data.class_map import given_or_recorded
from mlops.data.dataset import DetectionDataset
from mlops.data.places import names_of
from mlops.errors import DataFault, UserError
from mlops.store.resolve import data_sources, recorded_class_map
from mlops.tasks.outputs import task_of_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Run

    from mlops.data.dataset import Dataset
    from mlops.evaluation.result import EvaluationRequest
    from mlops.prediction.onnx_model import Predictor

DIGEST_TAG = "mlops.dataset_digest"
_IMAGE_LABEL = "image_label"  # a setting of joint recipes alone


@dataclass(frozen=True, slots=True)
class HeldOutData:
    """place: the folder on the run, and the prefix of metrics: the split, and of other data their digest."""

    dataset: Dataset
    place: str
    own: bool


def open_held_out(request: EvaluationRequest, run: Run, name: str, predictor: Predictor) -> HeldOutData:
    """Open what the run was trained on, or what was asked for instead.

    Raises DataFault for an empty split, for other classes than the version knows, and for data of another
    digest that were not asked for as such; UserError where it is not known what the run was trained on.
    """
    paths = request.data or data_sources(run)
    if not paths:
        raise UserError(f"{name} does not say what it was trained on: give the data with --data")
    dataset = open_dataset(
        paths,
        _task(predictor, run),
        cache=request.cache,
        class_map=given_or_recorded(request.class_map, recorded_class_map(run), names_of(paths), name),
        seed=_seed(run),
        classes=predictor.classes,
        image_label=run.data.params.get(_IMAGE_LABEL, "labels.csv"),
    )
    trained_on, digest = run.data.tags.get(DIGEST_TAG, ""), dataset.identity.digest
    own = digest == trained_on
    where = ", ".join(paths)
    if trained_on and not own and not request.other_data:
        raise DataFault(
            f"{where} has the digest {digest[:16]}, {name} was trained on {trained_on[:16]}: give those data "
            "with --data, or --other-data to measure on these and keep the figures apart"
        )
    _same_classes(where, dataset.classes, predictor.classes, name)
    if isinstance(dataset, DetectionDataset) and predictor.has_probabilities:
        _same_classes(where, dataset.image_classes, predictor.image_classes, name)
    if not len(dataset.splits.get(request.split, ())):
        there = ", ".join(f"--split {split}" for split, held in dataset.splits.items() if len(held))
        raise DataFault(f"{where} has no pictures in its {request.split} split to measure on; it has {there}")
    return HeldOutData(dataset, request.split if own else f"{request.split}-{digest[:8]}", own)


def _task(predictor: Predictor, run: Run) -> str:
    """A joint network that learnt one task alone gives one answer; its data are read as they were then."""
    if _IMAGE_LABEL in run.data.params:
        return "joint"
    return task_of_outputs(boxes=predictor.has_boxes, image_classes=predictor.has_probabilities)


def _seed(run: Run) -> int:
    """It draws the splits of a set that has none."""
    given = run.data.params.get("seed", "0")
    return int(given) if given.isdecimal() else 0


def _same_classes(where: str, found: Sequence[str], known: Sequence[str], name: str) -> None:
    if tuple(found) != tuple(known):
        raise DataFault(
            f"{where} has the classes {', '.join(found)}; {name} knows {', '.join(known)}, in that order"
        )
