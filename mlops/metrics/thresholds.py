"""Choose a score threshold by a rule. Pure.

A rule is `F2` (the highest F-beta of the boxes, any beta), `recall>=0.9` (the highest threshold with this
recall), the same at image level (`image-F2`, `image-recall>=0.95`), or a number (`0.25`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops.errors import BadSetting

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RULE = re.compile(r"(?P<of>image-)?(?:F(?P<beta>\d+(?:\.\d+)?)|recall>=(?P<recall>[01](?:\.\d+)?))")
_MOST_BETA = 100.0  # beta weighs recall beta times as much as precision
_SAYS = "F1, F2, F0.5, recall>=0.9, image-F2, image-recall>=0.95, or a score such as 0.25"


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """Exactly one of beta, recall and fixed is set. of: what is counted."""

    says: str
    of: Literal["boxes", "images"]
    beta: float | None = None
    recall: float | None = None
    fixed: float | None = None


@dataclass(frozen=True, slots=True)
class ThresholdCounts:
    """True and false positives at each of T ascending thresholds (T,); positives: in the ground truth.

    threshold: the scores that occur.
    """

    threshold: NDArray[np.float64]
    true: NDArray[np.int64]
    false: NDArray[np.int64]
    positives: int

    @property
    def precision(self) -> NDArray[np.float64]:
        """1 without predictions."""
        given = self.true + self.false
        precision: NDArray[np.float64] = np.where(given > 0, self.true / np.maximum(given, 1), 1.0)
        return precision

    @property
    def recall(self) -> NDArray[np.float64]:
        recall: NDArray[np.float64] = self.true / max(self.positives, 1)
        return recall

    def f_beta(self, beta: float) -> NDArray[np.float64]:
        """(1 + beta²) TP / ((1 + beta²) TP + beta² FN + FP), van Rijsbergen 1979; 0 where that is 0 / 0."""
        hit = (1 + beta**2) * self.true
        over = hit + beta**2 * (self.positives - self.true) + self.false
        score: NDArray[np.float64] = np.where(over > 0, hit / np.maximum(over, 1e-12), 0.0)
        return score


def read_rule(text: str) -> ThresholdRule:
    """Raises BadSetting for an invalid rule.

    >>> read_rule("recall>=0.9").recall, read_rule("image-F2").of, read_rule("0.25").fixed
    (0.9, 'images', 0.25)
    """
    given = text.strip().replace(" ", "")
    found = _RULE.fullmatch(given)
    if found is not None:
        of: Literal["boxes", "images"] = "images" if found["of"] else "boxes"
        if found["beta"] is not None and 0 < float(found["beta"]) <= _MOST_BETA:
            return ThresholdRule(given, of, beta=float(found["beta"]))
        if found["recall"] is not None and 0 < float(found["recall"]) <= 1:
            return ThresholdRule(given, of, recall=float(found["recall"]))
    try:
        fixed = float(given)
    except ValueError:
        fixed = -1.0
    if not 0 <= fixed < 1:
        raise BadSetting("evaluate", "--threshold-rule", text, _SAYS)
    return ThresholdRule(given, "boxes", fixed=fixed)


def counts_of(score: NDArray[np.float64], true: NDArray[np.bool_], positives: int) -> ThresholdCounts:
    """Counts at every score that occurs; score (N,) and true (N,) of each prediction."""
    levels, at = np.unique(score, return_inverse=True)
    right, wrong = (np.bincount(at[of], minlength=len(levels)) for of in (true, ~true))
    above_right, above_wrong = (each[::-1].cumsum()[::-1] for each in (right, wrong))
    return ThresholdCounts(levels.astype(np.float64), above_right, above_wrong, positives)


def choose(rule: ThresholdRule, counts: ThresholdCounts) -> float | None:
    """The threshold by `rule`, the highest of equally good ones; None if no score satisfies it."""
    if rule.fixed is not None:
        return rule.fixed
    if not len(counts.threshold) or not counts.positives:
        return None
    if rule.beta is not None:
        score = counts.f_beta(rule.beta)
        return float(counts.threshold[np.flatnonzero(score == score.max())[-1]]) if score.max() > 0 else None
    reaching = np.flatnonzero(counts.recall >= (rule.recall or 0.0))
    return float(counts.threshold[reaching[-1]]) if len(reaching) else None
