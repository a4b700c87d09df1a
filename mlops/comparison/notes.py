"""What a reader must know beside the figures, a sentence each. Pure."""

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
    """On the tests and what they are corrected for, on thresholds, on seeds, and on data that differ."""
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
    decided = f"{primary} decides and was settled beforehand" + (
        f" (Holm's correction over {len(against)} candidates)" if len(against) > 1 else ""
    )
    return (
        f"{decided}. Of the {tests} other differences {by_interval} have a {settings.confidence:.0%} "
        f"interval without 0, where chance alone would give about {tests * (1 - settings.confidence):.1f}; "
        f"{held} remain with Holm's correction over all of them."
    )


def _on_seeds(configurations: Sequence[Configuration]) -> list[str]:
    counts = [each.seeds for each in configurations]
    if max(counts) == 1:
        return [
            "One training of each: the intervals hold what other pictures would change, not what another "
            "seed of the training would."
        ]
    notes = ["Intervals hold pictures and seeds: on each draw both were drawn anew."]
    single = [each.name for each in configurations if each.seeds == 1]
    few = [each.name for each in configurations if 1 < each.seeds < _FEW_SEEDS]
    if single:
        notes.append(f"One training only of {', '.join(single)}: what its seed does is not in the intervals.")
    if few:
        notes.append(
            f"Fewer than {_FEW_SEEDS} seeds of {', '.join(few)}: so few show little of what a seed does, and "
            "the true intervals are wider."
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
    says = f"the score {next(iter(known.values()))}" if len(set(known.values())) == 1 else apart
    return [f"Precision, recall and F1 count boxes from {says} on, of all classes together, at IoU 0.5."]


def _on_data(configurations: Sequence[Configuration]) -> list[str]:
    first = configurations[0].sides[0]
    return [
        f"{each.name} was trained on other data than {configurations[0].name} "
        f"({side.trained_digest[:12]}, {first.trained_digest[:12]}); the test pictures "
        "are the same, by name and truth."
        for each in configurations[1:]
        for side in each.sides[:1]
        if side.trained_digest != first.trained_digest
    ]
