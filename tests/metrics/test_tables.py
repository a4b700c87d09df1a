"""A per-sample table comes back as it was written, and says what it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops.errors import BadSetting
from mlops.metrics.samples.boxes import pair_up
from mlops.metrics.samples.sample_tables import Header, read_answers, read_boxes, write_answers, write_boxes
from mlops.metrics.thresholds import read_rule
from tests.metrics.test_classes import answers
from tests.metrics.test_detection import WORKED

HEADER = Header("d" * 64, "test", ("x", "y"), ("a", "b", "empty"), made_by="training")


def test_boxes_come_back_with_the_pictures_that_have_none(tmp_path: Path) -> None:
    file = write_boxes(tmp_path / "boxes.parquet", WORKED, pair_up(WORKED).iou, HEADER)
    held, header = read_boxes(file)
    assert header == HEADER
    for column in ("image", "truth", "class_index", "matched"):
        np.testing.assert_array_equal(getattr(held, column), getattr(WORKED, column))
    np.testing.assert_allclose(held.score, WORKED.score)
    rows = pd.read_parquet(file)
    assert rows["class"].tolist() == ["xy"[index] for index in WORKED.class_index]
    assert rows.score.isna().tolist() == WORKED.truth.tolist()
    assert rows.iou[1] == pytest.approx(0.95) and np.isnan(rows.iou[0])


def test_a_table_that_was_written_before_there_were_headers_is_read(tmp_path: Path) -> None:
    file = write_boxes(tmp_path / "boxes.parquet", WORKED, pair_up(WORKED).iou, HEADER)
    pd.read_parquet(file).to_parquet(tmp_path / "old.parquet")
    held, header = read_boxes(tmp_path / "old.parquet")
    assert header is None
    np.testing.assert_array_equal(held.matched, WORKED.matched)


def test_no_box_at_all_is_a_table_too(tmp_path: Path) -> None:
    none = WORKED.rows(np.zeros(len(WORKED.image), np.bool_))
    held, _ = read_boxes(write_boxes(tmp_path / "boxes.parquet", none, np.zeros(0), HEADER))
    assert len(held.image) == 0 and held.corners.shape == (0, 4)


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    given = answers(20)
    held, header = read_answers(write_answers(tmp_path / "predictions.parquet", given, HEADER))
    assert header == HEADER and held.classes == given.classes
    np.testing.assert_array_equal(held.probabilities, given.probabilities)
    np.testing.assert_array_equal(held.truth, given.truth)


@pytest.mark.parametrize(
    "rule", ["F", "F0", "best", "recall>=0", "recall>=1.5", "recall>0.9", "1.5", "-1", ""]
)
def test_what_is_no_rule_is_refused_with_those_that_are(rule: str) -> None:
    with pytest.raises(BadSetting, match=r"allowed: F1, F2, F0\.5, recall>=0\.9"):
        read_rule(rule)
