"""Several versions' answers as one: what each says counts equally, and images differ are refused."""

from __future__ import annotations

import numpy as np
import pytest

from mlops.metrics.samples.sample_tables import ClassTable
from mlops.prediction.ensemble import mean_answers, voted_boxes
from tests.metrics.test_detection import SQUARE, table

FAR = (100.0, 100.0, 130.0, 130.0)
NEAR = (11.0, 10.0, 31.0, 30.0)


def test_a_box_that_one_of_two_versions_sees_counts_half() -> None:
    one = table(("a", 0, None, SQUARE), ("a", 0, 0.8, NEAR), ("a", 0, 0.6, FAR))
    other = table(("a", 0, None, SQUARE), ("a", 0, 0.9, SQUARE), ("b", 1, 0.4, SQUARE))
    voted = voted_boxes([one, other])
    given = ~voted.truth
    told = sorted(zip(voted.image[given], voted.score[given].round(6), voted.matched[given], strict=True))
    assert told == [("a", 0.3, False), ("a", 0.85, True), ("b", 0.2, False)]
    surest = voted.corners[given][voted.score[given].argmax()]
    np.testing.assert_array_equal(surest, SQUARE)  # the place is the surest version's
    assert voted.truth.sum() == 1


def test_boxes_of_other_classes_do_not_vote_for_each_other() -> None:
    one = table(("a", 0, None, SQUARE), ("a", 0, 0.8, SQUARE))
    other = table(("a", 0, None, SQUARE), ("a", 1, 0.9, SQUARE))
    voted = voted_boxes([one, other])
    assert sorted(voted.score[~voted.truth].round(6)) == [0.4, 0.45]


def test_a_version_voting_with_itself_says_what_it_said() -> None:
    one = table(("a", 0, None, SQUARE), ("a", 0, 0.8, NEAR), ("a", 0, 0.6, FAR), ("b", 0, 0.2, FAR))
    voted = voted_boxes([one, one, one])
    assert sorted(voted.score[~voted.truth].round(6)) == [0.2, 0.6, 0.8]


def test_tables_of_other_pictures_do_not_vote() -> None:
    one, other = table(("a", 0, None, SQUARE)), table(("b", 0, None, SQUARE))
    with pytest.raises(ValueError, match="images differ"):
        voted_boxes([one, other])


def _answers(names: list[str], probabilities: list[list[float]], classes: tuple[str, ...]) -> ClassTable:
    count = len(names)
    given = np.array(probabilities, np.float32)
    return ClassTable(np.array(names), np.array(["lab"] * count), np.zeros(count, np.int64), given, classes)


def test_probabilities_are_averaged_picture_by_picture_whatever_their_order() -> None:
    one = _answers(["b", "a"], [[0.2, 0.8], [1.0, 0.0]], ("x", "y"))
    other = _answers(["a", "b"], [[0.5, 0.5], [0.8, 0.2]], ("x", "y"))
    mean = mean_answers([one, other])
    assert mean.image.tolist() == ["a", "b"]
    np.testing.assert_allclose(mean.probabilities, [[0.75, 0.25], [0.5, 0.5]])
    with pytest.raises(ValueError, match="classes differ"):
        mean_answers([one, _answers(["a", "b"], [[1, 0], [1, 0]], ("y", "x"))])
    with pytest.raises(ValueError, match="images differ"):
        mean_answers([one, _answers(["a", "c"], [[1, 0], [1, 0]], ("x", "y"))])
