"""The original's answers to the held-out pictures, and a file's answers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.evaluation.prediction.predictor import Predictor
from mlops.evaluation.prediction.preprocessing import Preprocessing
from registry.export.proof.parity import AnyParity, ClassParity, JointParity, compare_boxes, compare_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.prediction.found import Found
    from registry.export.formats.contract import Session
    from registry.export.proof.held_out import HeldOut

LEAST_SCORE = 0.001  # from where boxes count for mAP, as in training's validation


@dataclass(frozen=True, slots=True)
class Answers:
    """To every held-out picture, in order: a classifier's (N, classes), a detector's boxes, or both."""

    probabilities: NDArray[np.float32] | None
    boxes: tuple[Found, ...] | None


def answers_of(session: Session, stated: Mapping[str, Any], held: HeldOut) -> Answers:
    """Ask `session` as its preprocessing `stated` says.

    Raises whatever runs the file does, and ValueError for answers that are no probabilities or boxes.
    """
    predictor = Predictor(session, Preprocessing.of(stated))
    boxes, probabilities = None, None
    if held.boxes is not None:
        boxes = tuple(predictor.boxes(held.pictures, score=LEAST_SCORE))
    if held.labels is not None:
        probabilities = predictor.probabilities(held.pictures)
        if not np.isfinite(probabilities).all():
            raise ValueError("it gives probabilities that are no numbers")
    return Answers(probabilities, boxes)


def compare(held: HeldOut, original: Answers, given: Answers, stated: Mapping[str, Any]) -> AnyParity:
    """stated: the version's preprocessing, for its classes and its threshold."""
    if held.boxes is None:
        return _classes(held, original, given, stated)
    assert original.boxes is not None and given.boxes is not None
    score = float(stated["nms"]["score"])
    boxes = compare_boxes(held.boxes, original.boxes, given.boxes, stated["classes"], score)
    return boxes if held.labels is None else JointParity(boxes, _classes(held, original, given, stated))


def _classes(held: HeldOut, original: Answers, given: Answers, stated: Mapping[str, Any]) -> ClassParity:
    assert held.labels is not None and original.probabilities is not None and given.probabilities is not None
    names = stated.get("image_classes", stated["classes"])
    return compare_classes(held.labels, original.probabilities, given.probabilities, names)
