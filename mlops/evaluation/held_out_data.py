"""Open the data to evaluate on, and check their digest and classes."""

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
_IMAGE_LABEL = "image_label"  # a setting of joint recipes only


@dataclass(frozen=True, slots=True)
class HeldOutData:
    """place: folder on the run and prefix of metrics: the split, for other data also their digest."""

    dataset: Dataset
    place: str
    own: bool


def open_held_out(request: EvaluationRequest, run: Run, name: str, predictor: Predictor) -> HeldOutData:
    """Open the training data of the run, or the requested data.

    Raises DataFault for an empty split, other classes than the version's, and data with another digest
    without `other_data`; UserError if the training data are unknown.
    """
    paths = request.data or data_sources(run)
    if not paths:
        raise UserError(f"{name} does not record its training data; pass the data with --data")
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
            f"{where} has the digest {digest[:16]}, but {name} was trained on {trained_on[:16]}; pass those "
            "data with --data, or use --other-data to evaluate on these and store the metrics separately"
        )
    _same_classes(where, dataset.classes, predictor.classes, name)
    if isinstance(dataset, DetectionDataset) and predictor.has_probabilities:
        _same_classes(where, dataset.image_classes, predictor.image_classes, name)
    if not len(dataset.splits.get(request.split, ())):
        there = ", ".join(f"--split {split}" for split, held in dataset.splits.items() if len(held))
        raise DataFault(f"{where} has no images in its {request.split} split; use {there}")
    return HeldOutData(dataset, request.split if own else f"{request.split}-{digest[:8]}", own)


def _task(predictor: Predictor, run: Run) -> str:
    """The task to read the data for; a joint network trained on one task still has joint data."""
    if _IMAGE_LABEL in run.data.params:
        return "joint"
    return task_of_outputs(boxes=predictor.has_boxes, image_classes=predictor.has_probabilities)


def _seed(run: Run) -> int:
    """The seed of the split, for data without splits."""
    given = run.data.params.get("seed", "0")
    return int(given) if given.isdecimal() else 0


def _same_classes(where: str, found: Sequence[str], known: Sequence[str], name: str) -> None:
    if tuple(found) != tuple(known):
        raise DataFault(
            f"{where} has the classes {', '.join(found)}; {name} has {', '.join(known)}, in this order"
        )
