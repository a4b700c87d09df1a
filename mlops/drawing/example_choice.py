"""Choose the samples to review: the worst errors of each kind, and some correct ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops.metrics.samples.boxes import pair_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.boxes import Boxes
    from mlops.metrics.samples.sample_tables import ClassTable

Kind = Literal["false positive", "miss", "confusion", "wrong", "right"]


@dataclass(frozen=True, slots=True)
class Example:
    """One image to review. row: of the table: the box, or the image's prediction.

    truth, predicted: classes, "" for none. score: of the prediction, NaN without one.
    """

    kind: Kind
    image: str
    row: int
    truth: str
    predicted: str
    score: float


def box_examples(boxes: Boxes, classes: Sequence[str], threshold: float, count: int) -> list[Example]:
    """At most `count` of each kind, each of a different image.

    False positives (a box without an annotated object) and confusions (a box on an object of another class):
    highest score first. Misses (an object without a box of any class): largest object first. Right: images
    without an error, sampled evenly over the classes, deterministically.
    """
    partner = pair_up(boxes, threshold=threshold, any_class=True).partner
    sure = ~boxes.truth & (boxes.score >= threshold)
    other_class = boxes.class_index[partner] != boxes.class_index
    lonely = np.flatnonzero(sure & (partner < 0))
    confused = np.flatnonzero(sure & (partner >= 0) & other_class)
    missed = np.flatnonzero(boxes.truth & (partner < 0))
    area = (boxes.corners[:, 2:] - boxes.corners[:, :2]).prod(1)
    erring = np.unique(boxes.image[np.concatenate([lonely, confused, missed])])
    right = np.flatnonzero(sure & (partner >= 0) & ~other_class & ~np.isin(boxes.image, erring))
    kinds: tuple[tuple[Kind, NDArray[np.int64]], ...] = (
        ("false positive", lonely[np.argsort(-boxes.score[lonely], kind="stable")]),
        ("miss", missed[np.argsort(-area[missed], kind="stable")]),
        ("confusion", confused[np.argsort(-boxes.score[confused], kind="stable")]),
        ("right", _in_turn(right, boxes.class_index)),
    )
    return [
        Example(
            kind=kind,
            image=str(boxes.image[row]),
            row=row,
            truth=_named(classes, boxes, row if kind == "miss" else int(partner[row])),
            predicted="" if kind == "miss" else classes[boxes.class_index[row]],
            score=float(boxes.score[row]),
        )
        for kind, rows in kinds
        for row in _of_other_pictures(rows, boxes.image, count)
    ]


def answer_examples(answers: ClassTable, count: int) -> list[Example]:
    """`count` wrong predictions, highest score first, and as many correct ones, evenly over the classes."""
    predicted = answers.predicted
    confidence = answers.probabilities.max(1)
    wrong = np.flatnonzero(predicted != answers.truth)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    right = _in_turn(np.flatnonzero(predicted == answers.truth), answers.truth)
    kinds: tuple[tuple[Kind, NDArray[np.int64]], ...] = (("wrong", wrong), ("right", right))
    return [
        Example(
            kind=kind,
            image=str(answers.image[row]),
            row=row,
            truth=answers.classes[answers.truth[row]],
            predicted=answers.classes[predicted[row]],
            score=float(confidence[row]),
        )
        for kind, rows in kinds
        for row in rows[:count].tolist()
    ]


def _in_turn(rows: NDArray[np.int64], class_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """`rows` shuffled deterministically, alternating between the classes."""
    shuffled = np.random.default_rng(0).permutation(rows)
    turn = np.zeros(len(shuffled), np.int64)
    for index in np.unique(class_index[shuffled]):
        own = np.flatnonzero(class_index[shuffled] == index)
        turn[own] = np.arange(len(own))
    return shuffled[np.argsort(turn, kind="stable")]


def _of_other_pictures(rows: Iterable[int], image: NDArray[np.str_], count: int) -> list[int]:
    """The first `count` rows of different images."""
    found: dict[str, int] = {}
    for row in rows:
        if len(found) == count:
            break
        found.setdefault(str(image[row]), int(row))
    return list(found.values())


def _named(classes: Sequence[str], boxes: Boxes, row: int) -> str:
    return classes[boxes.class_index[row]] if row >= 0 else ""
