"""Notes that a reader needs to interpret the metrics, one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.comparison.candidate import Configuration
from mlops.comparison.comparison_result import Against
from mlops.metrics.statistics.metric_differences import ComparisonSettings

_FEW_SEEDS = 5


def notes_on(
    configurations: Sequence[Configuration],
    against: Sequence[Against],
    primary: str,
    tests: int,
    settings: ComparisonSettings,
) -> tuple[str, ...]:
    """Notes on the tests and their correction, thresholds, seeds, and different data."""
    return (
        _on_tests(against, primary, tests, settings),
        *_on_thresholds(configurations),
        *_on_seeds(configurations),
        *_on_data(configurations),
    )


def _on_tests(against: Sequence[Against], primary: str, tests: int, settings: ComparisonSettings) -> str:
    secondary = [f for each in against for f in (*each.figures, *each.classes) if f.figure != primary]
    by_interval = sum(each.verdict in ("better", "worse") for each in secondary)
    held = sum(each.holds for each in secondary)
    decided = f"{primary} decides, chosen in advance" + (
        f" (Holm's correction over {len(against)} candidates)" if len(against) > 1 else ""
    )
    return (
        f"{decided}. For {by_interval} of the {tests} other differences the {settings.confidence:.0%} "
        f"interval excludes 0; about {tests * (1 - settings.confidence):.1f} are expected by chance. "
        f"{held} remain significant after Holm's correction over all of them."
    )


def _on_seeds(configurations: Sequence[Configuration]) -> list[str]:
    counts = [each.seeds for each in configurations]
    if max(counts) == 1:
        return [
            "One training each: the intervals cover the variation between images, not between seeds of the "
            "training."
        ]
    notes = ["The intervals cover images and seeds: both are resampled in each draw."]
    single = [each.name for each in configurations if each.seeds == 1]
    few = [each.name for each in configurations if 1 < each.seeds < _FEW_SEEDS]
    if single:
        notes.append(
            f"Only one training of {', '.join(single)}: the intervals do not cover the variation of its seed."
        )
    if few:
        notes.append(
            f"Fewer than {_FEW_SEEDS} seeds of {', '.join(few)}: they underestimate the variation between "
            "seeds, so the true intervals are wider."
        )
    return notes


def _on_thresholds(configurations: Sequence[Configuration]) -> list[str]:
    told = {
        each.name: ", ".join(f"{side.threshold:.3g}" for side in each.sides if side.threshold is not None)
        for each in configurations
    }
    known = {name: text for name, text in told.items() if text}
    if not known:
        return []
    apart = ", ".join(f"{text} for {name}" for name, text in known.items())
    says = next(iter(known.values())) if len(set(known.values())) == 1 else apart
    return [f"Precision, recall and F1: score threshold {says}, all classes together, IoU 0.5."]


def _on_data(configurations: Sequence[Configuration]) -> list[str]:
    first = configurations[0].sides[0]
    return [
        f"{each.name} was trained on other data than {configurations[0].name} "
        f"({side.trained_digest[:12]}, {first.trained_digest[:12]}); the test images "
        "have the same names and ground truth."
        for each in configurations[1:]
        for side in each.sides[:1]
        if side.trained_digest != first.trained_digest
    ]
