"""Check that candidates were tested on the same samples; otherwise raise an error with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlops.comparison.candidate import Side
from mlops.errors import NotComparable, NotShown
from mlops.metrics.samples.image_names import common_folder, from_folder_on, same_truths


def check_different(sides: Sequence[Side]) -> None:
    """Raises NotComparable if two sides are the same training."""
    seen: dict[str, Side] = {}
    for side in sides:
        if side.run_id in seen:
            raise NotComparable(
                f"{seen[side.run_id].name} and {side.name} are the same training (run {side.run_id}); "
                "choose two different ones"
            )
        seen[side.run_id] = side


def check_same_samples(baseline: Side, other: Side) -> None:
    """Raises NotComparable if two sides have no task in common, or other samples or classes.

    Data sets with different digests are accepted if the tables have the same images and ground truth, for
    example if only the training split was extended.
    """
    if (baseline.boxes is None or other.boxes is None) and (
        baseline.answers is None or other.answers is None
    ):
        kinds = " and ".join(f"{side.name} has {_has(side)}" for side in (baseline, other))
        raise NotComparable(f"{kinds}; they have no task in common")
    _check_classes(baseline, other)
    why = _differing_boxes(baseline, other) or _differing_answers(baseline, other)
    if baseline.tested.split != other.tested.split:
        why = why or "the splits differ"
    if why:
        raise NotComparable(
            f"{baseline.name} and {other.name} were tested on different data ({why}): "
            f"{baseline.tested.split} of {_digest(baseline)} and {other.tested.split} of {_digest(other)}; "
            "evaluate one on the other's data with `mlops evaluate --data ... --other-data`"
        )


def refuse_nothing(baseline: Side, other: Side) -> None:
    """Raises NotShown for two detectors if no object is annotated, or neither predicts a box."""
    if baseline.boxes is None or other.boxes is None:
        return
    if baseline.answers is not None and other.answers is not None:
        return  # the classes of the images are compared, too
    one, two = baseline.boxes.detections, other.boxes.detections
    names = f"{baseline.name} and {other.name}"
    if not len(one.truth_picture):
        raise NotShown(f"not shown: no object is annotated in the {baseline.tested.split} split of {names}")
    if not len(one.picture) and not len(two.picture):
        raise NotShown(f"not shown: neither of {names} predicts a box in the {baseline.tested.split} split")


def on_shared_pictures(sides: Sequence[Side]) -> list[Side]:
    """The sides with one common list of images for all boxes: the union of all.

    If the annotated images are in different folders (for example a data set inside another one), the common
    folder of each side is removed from the names.
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
            f"{baseline.name} and {other.name} have different classes: {', '.join(ones)} and "
            f"{', '.join(others)}"
        )
    if baseline.boxes is not None and other.boxes is not None:
        first, second = baseline.boxes.classes, other.boxes.classes
        clash = next((i for i in sorted(first) if i in second and first[i] != second[i]), None)
        if clash is not None:
            raise NotComparable(
                f"{baseline.name} and {other.name} have different classes: number {clash} is "
                f"{first[clash]} and {second[clash]}"
            )


def _differing_boxes(baseline: Side, other: Side) -> str:
    if baseline.boxes is None or other.boxes is None:
        return ""
    one, two = (side.boxes for side in on_shared_pictures([baseline, other]))
    assert one is not None and two is not None
    return "" if same_truths(one.detections, two.detections) else "the annotated boxes differ"


def _differing_answers(baseline: Side, other: Side) -> str:
    one, two = baseline.answers, other.answers
    if one is None or two is None:
        return ""
    names, others = (from_folder_on(each.image, common_folder(each.image)) for each in (one, two))
    if len(names) != len(others) or not (names == others).all():
        shared = len(np.intersect1d(names, others))
        return f"{shared} images in common, of {len(names)} and {len(others)}"
    differing = int((one.truth != two.truth).sum())
    return f"{differing} images have different labels" if differing else ""


def _has(side: Side) -> str:
    tables = [("boxes", side.boxes), ("class probabilities", side.answers)]
    return " and ".join(name for name, table in tables if table is not None)


def _digest(side: Side) -> str:
    return f"data {side.tested.digest or 'without a digest'}"
