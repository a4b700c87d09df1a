"""A joint version is judged by the table that a figure is of: its boxes, or its pictures' classes."""

from __future__ import annotations

import numpy as np
import pytest

from mlops.metrics.samples.boxes import Boxes
from registry.evidence.paired_samples import Both, PairedClasses, Samples, boxes_of, compare, joined
from registry.policies.conditions import NotWorse
from registry.policies.policy import load_policy

NAMES = np.array([f"{index:02d}.png" for index in range(40)])
LABELS = np.array(["ill", "well"] * 20)


def joint(right: int, found: int) -> Both:
    """40 pictures: `right` classes named well, `found` of the objects found."""
    said = np.where(np.arange(40) < right, LABELS, np.where(LABELS == "ill", "well", "ill"))
    truth = np.tile([0.0, 0.0, 10.0, 10.0], (40, 1))
    given = truth[:found]
    boxes = Boxes(
        image=np.concatenate([NAMES, NAMES[:found]]),
        truth=np.arange(40 + found) < 40,
        class_index=np.zeros(40 + found, np.int64),
        score=np.concatenate([np.full(40, np.nan), np.full(found, 0.9)]),
        corners=np.concatenate([truth, given]),
        matched=np.arange(40 + found) >= 40,
    )
    return Both(boxes, PairedClasses(NAMES, LABELS, said))


def verdict(metric: str, own: Samples, champion: Samples) -> str:
    gate = NotWorse(kind="not worse", metric=metric, draws=200)
    found = compare(gate, "1", own, champion)
    assert not found.problem
    return found.verdict


def test_each_figure_is_compared_on_its_own_table() -> None:
    boxes_better, classes_better = joint(right=20, found=40), joint(right=40, found=20)
    assert verdict("mAP50", boxes_better, classes_better) == "better"
    assert verdict("macro_f1", boxes_better, classes_better) == "worse"


def test_a_detector_may_follow_a_joint_version_on_boxes_alone() -> None:
    champion, detector = joint(right=40, found=20), joint(right=40, found=40).boxes
    assert verdict("mAP50", detector, champion) == "better"
    gate = NotWorse(kind="not worse", metric="macro_f1", draws=200)
    assert "one version is a classifier" in compare(gate, "1", detector, champion).problem


def test_tables_of_a_run_are_read_as_one() -> None:
    both = joint(right=40, found=40)
    assert joined([both.answers, both.boxes]) == both
    assert joined([both.boxes]) is both.boxes and joined([]) is None
    assert boxes_of(both) is both.boxes and boxes_of(both.answers) is None


@pytest.mark.parametrize("metric", ["test/mAP50", "test/accuracy", "test/macro_f1"])
def test_the_joint_detectors_policy_asks_for_both_tasks(metric: str) -> None:
    gates = load_policy("joint-detector").gates["Staging"]
    assert metric in {getattr(gate, "metric", "") for gate in gates}
