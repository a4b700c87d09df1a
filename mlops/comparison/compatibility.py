"""Check that candidates predicted the same samples, or refuse to compare them with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlops.comparison.candidate import Side
from mlops.errors import NotComparable
from mlops.metrics.samples.image_names import common_folder, from_folder_on, same_truths


def check_different(sides: Sequence[Side]) -> None:
    """Raises NotComparable where two of them are the same training."""
    seen: dict[str, Side] = {}
    for side in sides:
        if side.run_id in seen:
            raise NotComparable(
                f"{seen[side.run_id].name} and {side.name} are the same training (run {side.run_id}): "
                "name two that differ"
            )
        seen[side.run_id] = side


def check_same_samples(baseline: Side, other: Side) -> None:
    """Raises NotComparable where two sides share no table, or were asked about other samples or classes.

    Data sets with different digests will do where the tables show the same pictures with the same truths:
    so does one of which only the training part has grown.
    """
    if (baseline.boxes is None or other.boxes is None) and (
        baseline.answers is None or other.answers is None
    ):
        kinds = " and ".join(f"{side.name} has {_has(side)}" for side in (baseline, other))
        raise NotComparable(f"{kinds}: they answer different questions")
    _check_classes(baseline, other)
    why = _differing_boxes(baseline, other) or _differing_answers(baseline, other)
    if baseline.tested.split != other.tested.split:
        why = why or "the splits are not the same"
    if why:
        raise NotComparable(
            f"{baseline.name} and {other.name} were tested on different data ({why}): "
            f"{baseline.tested.split} of {_digest(baseline)} and {other.tested.split} of {_digest(other)}; "
            "`mlops evaluate --data ... --other-data` measures one on the other's"
        )


def on_shared_pictures(sides: Sequence[Side]) -> list[Side]:
    """The sides with one list of pictures for all their boxes: all that occur with any of them.

    Where their annotated pictures lie in different folders (a data set within another one), the folders that
    each one's share are left out of the names.
    """
    held = [side.boxes.detections for side in sides if side.boxes is not None]
    if not held:
        return list(sides)
    folders = [common_folder(boxes.pictures[np.unique(boxes.truth_picture)]) for boxes in held]
    alike = len(set(folders)) == 1
    names = [
        boxes.pictures if alike else from_folder_on(boxes.pictures, folder)
        for boxes, folder in zip(held, folders, strict=True)
    ]
    every = np.unique(np.concatenate(names))
    laid = iter([boxes.named(own, every) for boxes, own in zip(held, names, strict=True)])
    return [
        side if side.boxes is None else replace(side, boxes=replace(side.boxes, detections=next(laid)))
        for side in sides
    ]


def _check_classes(baseline: Side, other: Side) -> None:
    ones: tuple[str, ...] = ()
    if baseline.answers is not None and other.answers is not None:
        ones, others = baseline.answers.classes, other.answers.classes
    elif baseline.answers is None and other.answers is None:
        ones, others = baseline.classes, other.classes
    if ones and others and ones != others:
        raise NotComparable(
            f"{baseline.name} and {other.name} know different classes: {', '.join(ones)} and "
            f"{', '.join(others)}"
        )
    if baseline.boxes is not None and other.boxes is not None:
        first, second = baseline.boxes.classes, other.boxes.classes
        clash = next((i for i in sorted(first) if i in second and first[i] != second[i]), None)
        if clash is not None:
            raise NotComparable(
                f"{baseline.name} and {other.name} know different classes: number {clash} is "
                f"{first[clash]} and {second[clash]}"
            )


def _differing_boxes(baseline: Side, other: Side) -> str:
    if baseline.boxes is None or other.boxes is None:
        return ""
    one, two = (side.boxes for side in on_shared_pictures([baseline, other]))
    assert one is not None and two is not None
    return "" if same_truths(one.detections, two.detections) else "the annotated boxes are not the same"


def _differing_answers(baseline: Side, other: Side) -> str:
    one, two = baseline.answers, other.answers
    if one is None or two is None:
        return ""
    names, others = (from_folder_on(each.image, common_folder(each.image)) for each in (one, two))
    if len(names) != len(others) or not (names == others).all():
        return f"{len(np.intersect1d(names, others))} pictures are alike, of {len(names)} and {len(others)}"
    differing = int((one.truth != two.truth).sum())
    return f"{differing} pictures have other labels" if differing else ""


def _has(side: Side) -> str:
    tables = [("boxes", side.boxes), ("class probabilities", side.answers)]
    return " and ".join(name for name, table in tables if table is not None)


def _digest(side: Side) -> str:
    return f"data {side.tested.digest or 'without a digest'}"
