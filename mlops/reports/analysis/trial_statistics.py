"""Statistics of a search: importance of settings, and epochs saved by pruning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Saved:
    """epochs: not trained because of pruning. share: of all planned epochs, 0..1.

    seconds: by the trials' mean epoch time; None if no time was recorded.
    """

    pruned: int
    epochs: int
    planned: int
    seconds: float | None

    @property
    def share(self) -> float:
        return self.epochs / self.planned if self.planned else 0.0


def saved_by_pruning(
    done: Sequence[int], planned: Sequence[int], pruned: Sequence[bool], epoch_s: Sequence[float]
) -> Saved:
    """done, planned: epochs of each trial. epoch_s: mean seconds of an epoch, for trials that have it."""
    left = [max(plan - did, 0) for did, plan, cut in zip(done, planned, pruned, strict=True) if cut]
    seconds = sum(left) * sum(epoch_s) / len(epoch_s) if epoch_s else None
    return Saved(sum(pruned), sum(left), sum(planned), seconds)


def importances(settings: Sequence[Mapping[str, object]], values: Sequence[float]) -> dict[str, float]:
    """The share of the variation of `values` by setting, by Optuna's fANOVA.

    They sum to 1, the largest first. {} for fewer than four trials, or without variation.
    """
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = sorted(set.intersection(*(set(each) for each in settings))) if settings else []
    spans: dict[str, BaseDistribution] = {}
    for name in names:
        found = {each[name] for each in settings}
        if len(found) < 2:
            continue
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
            numbers = [float(str(value)) for value in found]
            spans[name] = FloatDistribution(min(numbers), max(numbers))
        else:
            spans[name] = CategoricalDistribution(sorted(map(str, found)))
    if len(values) < 4 or not spans or len(set(values)) < 2:
        return {}
    study = optuna.create_study(direction="maximize")
    for each, value in zip(settings, values, strict=True):
        chosen = {
            name: float(str(each[name])) if isinstance(span, FloatDistribution) else str(each[name])
            for name, span in spans.items()
        }
        study.add_trial(optuna.trial.create_trial(params=chosen, distributions=spans, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
