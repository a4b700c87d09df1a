"""mAP on draws of the pictures: pycocotools' own, on all of them and on any draw."""

from __future__ import annotations

import numpy as np
import pytest

from mlops.metrics.box_ap import coco_figures
from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.matching import IOUS, detections_of, match
from mlops.metrics.statistics.paired import pair_detectors, paired_bootstrap
from mlops.metrics.statistics.resampling import resample, scores_of_boxes
from tests.metrics.box_tables import CLASSES, made_boxes, repeated

NAMES = dict(enumerate(CLASSES))


@pytest.mark.parametrize("pictures", [2, 10, 25, 60])
def test_map_on_all_pictures_is_pycocotools(pictures: int) -> None:
    boxes = made_boxes(pictures, pictures)
    theirs = coco_figures(boxes, CLASSES)
    (ours,) = resample(
        np.ones(len(np.unique(boxes.image)), np.int64),
        [scores_of_boxes(detections_of(boxes), NAMES, 0.5)],
        draws=8,
        seed=0,
    )
    assert ours.of("mAP50-95")[0] == pytest.approx(theirs.map50_95, abs=1e-6)
    assert ours.of("mAP50")[0] == pytest.approx(theirs.map50, abs=1e-6)
    for name, figures in theirs.by_class.items():
        assert ours.of(f"AP50/{name}")[0] == pytest.approx(figures.ap50, abs=1e-6)


def test_equal_scores_are_ranked_by_picture_wherever_their_rows_stand() -> None:
    there, elsewhere = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    for order in (["a", "b"], ["b", "a"]):
        boxes = Boxes(
            image=np.array(["a", "b", *order]),
            truth=np.array([True, True, False, False]),
            class_index=np.zeros(4, np.int64),
            score=np.array([np.nan, np.nan, 0.5, 0.5]),
            corners=np.array([there, there, *(there if name == "a" else elsewhere for name in order)]),
            matched=np.zeros(4, np.bool_),
        )
        scored = scores_of_boxes(detections_of(boxes), NAMES, 0.5)
        ours = scored.scores(np.ones((1, 2), np.int64))[0][scored.figures.index("mAP50")]
        assert ours == pytest.approx(coco_figures(boxes, CLASSES[:1]).map50, abs=1e-6)


def test_map_on_a_draw_is_pycocotools_on_the_pictures_drawn() -> None:
    boxes = made_boxes(3, 40)
    scored = scores_of_boxes(detections_of(boxes), NAMES, 0.5)
    weights = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=6)
    weights = weights[:, : len(np.unique(boxes.image))]
    for row, ours in zip(weights, scored.scores(weights), strict=True):
        theirs = coco_figures(repeated(boxes, row), CLASSES)
        assert ours[scored.figures.index("mAP50-95")] == pytest.approx(theirs.map50_95, abs=1e-3)
        assert ours[scored.figures.index("mAP50")] == pytest.approx(theirs.map50, abs=1e-3)


def test_precision_recall_and_f1_are_counted_from_the_threshold_on() -> None:
    boxes = made_boxes(5, 30)
    detections = detections_of(boxes)
    sure = detections.score >= 0.4
    found, given = int((match(detections)[0] & sure).sum()), int(sure.sum())
    objects = int(boxes.truth.sum())
    (ours,) = resample(
        np.ones(len(detections.pictures), np.int64),
        [scores_of_boxes(detections, NAMES, 0.4)],
        draws=8,
        seed=0,
    )
    assert ours.of("precision")[0] == pytest.approx(found / given)
    assert ours.of("recall")[0] == pytest.approx(found / objects)
    assert ours.of("F1")[0] == pytest.approx(2 * found / (given + objects))


def test_a_box_that_a_surer_one_displaced_takes_its_next_best_object() -> None:
    objects = [(0, 0, 10, 10), (2, 0, 12, 10)]
    # both would rather have the first object; the less sure one is left the second
    boxes = _boxes(objects, [((0, 0, 10, 10), 0.9), ((0.4, 0, 10.4, 10), 0.8), ((0, 0, 10, 10), 0.7)])
    assert match(detections_of(boxes))[0].tolist() == [True, True, False]


def test_a_box_missing_a_high_iou_leaves_the_object_to_a_less_sure_one() -> None:
    boxes = _boxes([(0, 0, 10, 10)], [((0, 0, 10, 7), 0.9), ((0, 0, 10, 9.9), 0.5)])
    first, second = match(detections_of(boxes)).T.tolist()
    assert first == [iou <= 0.7 for iou in IOUS]  # 0.7 itself is enough
    assert second == [iou > 0.7 for iou in IOUS]


def test_the_gate_and_the_comparison_see_the_same_interval() -> None:
    better, worse = made_boxes(1, 50, shift=1.0), made_boxes(2, 50, shift=6.0)
    gate = paired_bootstrap(pair_detectors(better, worse, "mAP50-95"), draws=400, seed=9)
    pictures = np.union1d(better.image, worse.image)
    one, other = resample(
        np.ones(len(pictures), np.int64),
        [scores_of_boxes(detections_of(each).on(pictures), NAMES, 0.5) for each in (better, worse)],
        draws=400,
        seed=9,
    )
    differences = one.of("mAP50-95")[1] - other.of("mAP50-95")[1]
    assert (gate.low, gate.high) == pytest.approx(tuple(np.quantile(differences, (0.025, 0.975))), abs=1e-6)
    assert gate.verdict == "better"


def test_the_interval_of_map_is_that_of_scipys_paired_bootstrap() -> None:
    from scipy.stats import bootstrap

    first, second = made_boxes(1, 30), made_boxes(2, 30, shift=4.0)
    pictures = np.union1d(first.image, second.image)
    models = [scores_of_boxes(detections_of(each).on(pictures), NAMES, 0.5) for each in (first, second)]
    at = models[0].figures.index("mAP50-95")

    def difference(drawn: np.ndarray, axis: int) -> np.ndarray:
        rows = np.atleast_2d(drawn)
        weights = np.stack([np.bincount(row, minlength=len(pictures)) for row in rows])
        one, other = (model.scores(weights)[:, at] for model in models)
        return np.squeeze(one - other)

    theirs = bootstrap(
        (np.arange(len(pictures)),),
        difference,
        vectorized=True,
        n_resamples=3000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = paired_bootstrap(pair_detectors(first, second, "mAP50-95"), draws=3000, seed=1)
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)


def _boxes(objects: list[tuple[float, ...]], given: list[tuple[tuple[float, ...], float]]) -> Boxes:
    count = len(objects) + len(given)
    return Boxes(
        image=np.full(count, "a"),
        truth=np.arange(count) < len(objects),
        class_index=np.zeros(count, np.int64),
        score=np.array([np.nan] * len(objects) + [score for _, score in given]),
        corners=np.array([*objects, *(box for box, _ in given)], np.float64),
        matched=np.zeros(count, bool),
    )
