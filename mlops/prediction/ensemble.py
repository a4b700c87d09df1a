"""Combine predictions on the same images: of several versions, or of mirrored images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.samples.boxes import Boxes, by_picture, iou_matrix, joined
from mlops.metrics.samples.sample_tables import ClassTable
from mlops.prediction.onnx_model import keep_surest
from mlops.prediction.split_predictions import MOST, with_matches

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOTE_IOU = 0.55  # minimum IoU of boxes of one object, as in weighted boxes fusion


def mean_answers(members: Sequence[ClassTable]) -> ClassTable:
    """The mean of the members' probabilities. Raises ValueError if images or classes differ."""
    first = members[0]
    order = np.argsort(first.image, kind="stable")
    held = []
    for member in members:
        own = np.argsort(member.image, kind="stable")
        if member.classes != first.classes:
            raise ValueError("their classes differ in name or order")
        if not (
            np.array_equal(member.image[own], first.image[order])
            and np.array_equal(member.truth[own], first.truth[order])
        ):
            raise ValueError("their images differ")
        held.append(member.probabilities[own])
    mean = np.asarray(np.mean(held, axis=0, dtype=np.float64), np.float32)
    return ClassTable(first.image[order], first.source[order], first.truth[order], mean, first.classes)


def voted_boxes(members: Sequence[Boxes]) -> Boxes:
    """Combine several tables of boxes on the same images.

    Of boxes of a class with IoU > 0.55 the one with the highest score gives the position. Its score
    becomes the mean over the members of their highest score at that position, 0 for a member without a box.
    This is the confidence of weighted boxes fusion (Solovyev et al. 2021), without its averaged corners.
    Raises ValueError if the images differ.
    """
    first = members[0]
    if any(not _same_truths(first, member) for member in members[1:]):
        raise ValueError("their images differ (the annotated boxes are not the same)")
    rows_of = [_given_by_picture(member) for member in members]
    parts = []
    for name in sorted(set().union(*rows_of)):
        rows = [held.get(name, np.zeros(0, np.int64)) for held in rows_of]
        parts.append(_voted(name, members, rows))
    return with_matches(joined([*parts, first.rows(first.truth)]))


def _voted(name: str, members: Sequence[Boxes], rows: Sequence[NDArray[np.int64]]) -> Boxes:
    corners = np.concatenate([m.corners[r] for m, r in zip(members, rows, strict=True)])
    score = np.concatenate([m.score[r] for m, r in zip(members, rows, strict=True)])
    classes = np.concatenate([m.class_index[r] for m, r in zip(members, rows, strict=True)])
    kept = keep_surest(corners.astype(np.float32), score.astype(np.float32), classes, VOTE_IOU, MOST)
    votes = np.zeros(len(kept))
    for member, own in zip(members, rows, strict=True):
        if len(own):
            there = iou_matrix(corners[kept], member.corners[own]) > VOTE_IOU
            there &= classes[kept][:, None] == member.class_index[own][None, :]
            votes += np.where(there, member.score[own][None, :], 0.0).max(1)
    order = np.argsort(-votes, kind="stable")
    count = len(kept)
    return Boxes(
        image=np.array([name] * count, dtype=str),
        truth=np.zeros(count, np.bool_),
        class_index=classes[kept][order],
        score=(votes / len(members))[order],
        corners=corners[kept][order],
        matched=np.zeros(count, np.bool_),
    )


def _given_by_picture(boxes: Boxes) -> dict[str, NDArray[np.int64]]:
    found = {}
    for rows in by_picture(boxes):
        given = rows[~boxes.truth[rows]]
        if len(given):
            found[str(boxes.image[given[0]])] = given
    return found


def _same_truths(one: Boxes, other: Boxes) -> bool:
    """Compares image and class only, as training's test rounds corners in model coordinates."""
    keys = []
    for boxes in (one, other):
        image, class_index = boxes.image[boxes.truth], boxes.class_index[boxes.truth]
        order = np.lexsort((class_index, image))
        keys.append((image[order], class_index[order]))
    return all(np.array_equal(own, theirs) for own, theirs in zip(*keys, strict=True))
