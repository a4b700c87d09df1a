"""Paired comparison of the per-sample test results of two versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.image_names import same_truths
from mlops.metrics.samples.matching import detections_of
from mlops.metrics.statistics.paired import (
    CLASS_FIGURES,
    Pairing,
    pair_classifiers,
    pair_detectors,
    paired_bootstrap,
)
from registry.gates.evidence_values import ChampionComparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from registry.policies.conditions import NotWorse

PREDICTIONS, BOXES = "predictions.parquet", "boxes.parquet"


@dataclass(frozen=True, slots=True)
class PairedClasses:
    """A classifier's predictions: (N,) each, in the order of `image`."""

    image: NDArray[np.str_]
    label: NDArray[np.str_]
    predicted: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Both:
    """Results of a joint version: every box, and the class of every image."""

    boxes: Boxes
    answers: PairedClasses


Samples = PairedClasses | Boxes | Both


def joined(parts: Sequence[Samples]) -> Samples | None:
    """All tables of one run; None without any."""
    boxes = next((each for each in parts if isinstance(each, Boxes)), None)
    answers = next((each for each in parts if isinstance(each, PairedClasses)), None)
    return Both(boxes, answers) if boxes is not None and answers is not None else boxes or answers


def boxes_of(samples: Samples | None) -> Boxes | None:
    """The boxes in `samples`; None for a classifier."""
    if isinstance(samples, Both):
        return samples.boxes
    return samples if isinstance(samples, Boxes) else None


def read_samples(file: Path) -> Samples:
    """The per-sample results that training stored. Raises OSError, ValueError or KeyError for other files."""
    import pyarrow.parquet as pq  # its `read_table` would import pandas

    if file.name == PREDICTIONS:
        held = pq.ParquetFile(file).read(["image", "label", "predicted"]).to_pydict()
        order = np.argsort(np.array(held["image"], dtype=str), kind="stable")
        image, label, predicted = (
            np.array(held[name], dtype=str)[order] for name in ("image", "label", "predicted")
        )
        return PairedClasses(image, label, predicted)
    held = pq.ParquetFile(file).read().to_pydict()
    truth = np.array([kind == "truth" for kind in held["kind"]], dtype=bool)
    scores = np.array([np.nan if each is None else each for each in held["score"]], dtype=np.float64)
    corners = np.array([held[side] for side in ("x1", "y1", "x2", "y2")], dtype=np.float64).T
    if not np.isfinite(scores[~truth]).all() or not np.isfinite(corners).all():
        raise ValueError("a score or a corner is not finite")
    return Boxes(
        image=np.array(held["image"], dtype=str),
        truth=truth,
        class_index=np.array(held["class_index"], dtype=np.int64),
        score=scores,
        corners=corners,
        matched=np.array([bool(each) for each in held["matched"]], dtype=bool),
    )


def compare(gate: NotWorse, champion: str, own: Samples | None, other: Samples | None) -> ChampionComparison:
    """Compare this version with the champion as `gate` requires; `problem` is the reason if impossible."""
    asked = ChampionComparison(champion, gate.metric, gate.confidence, gate.margin)
    try:
        pairing = _paired(gate.metric, own, other)
        found = paired_bootstrap(
            pairing, draws=gate.draws, seed=gate.seed, confidence=gate.confidence, margin=gate.margin
        )
        if found.candidate == found.champion == 0:
            raise ValueError(f"not shown: {gate.metric} of both versions is 0")
    except ValueError as error:
        return ChampionComparison(champion, gate.metric, gate.confidence, gate.margin, problem=str(error))
    return ChampionComparison(
        asked.champion,
        asked.metric,
        asked.confidence,
        asked.margin,
        samples=found.samples,
        difference=round(found.difference, 9),
        low=round(found.low, 9),
        high=round(found.high, 9),
        verdict=found.verdict,
    )


def _paired(metric: str, own: Samples | None, other: Samples | None) -> Pairing:
    if own is None or other is None:
        which = "this version" if own is None else "the champion"
        raise ValueError(f"{which} has no per-sample test results")
    own, other = (_asked_of(each, metric) for each in (own, other))
    if isinstance(own, PairedClasses) and isinstance(other, PairedClasses):
        return _answers(metric, own, other)
    if isinstance(own, Boxes) and isinstance(other, Boxes):
        return _boxes(metric, own, other)
    raise ValueError("one version is a classifier, the other a detector")


def _asked_of(samples: Samples, metric: str) -> Samples:
    """Of a joint version, the table that `metric` is computed from."""
    if not isinstance(samples, Both):
        return samples
    return samples.answers if metric in CLASS_FIGURES else samples.boxes


def _answers(metric: str, own: PairedClasses, other: PairedClasses) -> Pairing:
    figure = next((name for name in CLASS_FIGURES if name == metric), None)
    if figure is None:
        raise ValueError(f"{metric} is not a metric of a classifier; use one of {', '.join(CLASS_FIGURES)}")
    same = len(own.image) == len(other.image) and bool((own.image == other.image).all())
    if not same or not (own.label == other.label).all():
        shared = (
            len(np.intersect1d(own.image, other.image)) if not same else int((own.label == other.label).sum())
        )
        raise ValueError(
            f"the versions were tested on different images ({shared} in common, "
            f"of {len(own.image)} and {len(other.image)})"
        )
    names = np.unique(np.concatenate([own.label, own.predicted, other.predicted]))
    truth, candidate, champion = (
        np.searchsorted(names, each).astype(np.int64) for each in (own.label, own.predicted, other.predicted)
    )
    return pair_classifiers(truth, candidate, champion, figure)


def _boxes(metric: str, own: Boxes, other: Boxes) -> Pairing:
    """Compares the ground truth, as an image without boxes has no row in a table."""
    pictures = np.union1d(own.image, other.image)
    if not same_truths(detections_of(own).on(pictures), detections_of(other).on(pictures)):
        raise ValueError("the versions were tested on different images (the annotated boxes differ)")
    if not own.truth.any():
        raise ValueError("not shown: no object is annotated on the test images")
    if own.truth.all() and other.truth.all():
        raise ValueError("not shown: neither version predicts a box on the test images")
    return pair_detectors(own, other, metric)
