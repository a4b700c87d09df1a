"""The result of a study, as plain values and as the final output of `mlops train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops.terminal.tables import aligned


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One trial: state is complete, pruned, failed, running or waiting; value is the objective's best."""

    number: int
    state: str
    value: float | None
    epochs: int | None
    params: Mapping[str, object]
    says: str = ""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """A finished study.

    run_id, best_run_id: MLflow's ids, "" until they are delivered to the server.
    version: the registered version, None if not requested or not delivered yet.
    left, left_because: number of entries waiting in the outbox, and the reason.
    """

    study: str
    system: str
    objective: str
    trials: tuple[TrialLine, ...]
    best_trial: int
    best_params: Mapping[str, object]
    test_split: str
    test: Mapping[str, float]
    tracking_uri: str
    run_id: str
    best_run_id: str
    version: int | None
    left: int
    left_because: str
    demo: bool


def as_text(outcome: StudyOutcome) -> str:
    """The final table: trials, held-out metrics, version, and the next commands."""
    rows = [("", "trial", "state", outcome.objective, "epochs", "settings")]
    for trial in outcome.trials:
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        mark = "*" if trial.number == outcome.best_trial else ""
        settings = trial.says or ", ".join(f"{k}={_short(v)}" for k, v in trial.params.items()) or "recipe"
        epochs = "-" if trial.epochs is None else str(trial.epochs)
        rows.append((mark, str(trial.number), trial.state, value, epochs, settings))
    lines = [f"Study {outcome.study}", "", aligned(rows), ""]
    lines.append(f"Held-out metrics ({outcome.test_split} split):")
    headline = [(name, f"{value:.4f}") for name, value in outcome.test.items() if name.count("/") == 1]
    lines += [aligned(headline, indent=2), "", *_whereabouts(outcome)]
    return "\n".join(lines)


def _whereabouts(outcome: StudyOutcome) -> list[str]:
    if outcome.left:
        return [
            f"{outcome.left} entries are waiting for {outcome.tracking_uri}; nothing is lost.",
            f"  {outcome.left_because}",
            "  mlops sync           deliver them, including the version",
        ]
    lines = []
    if outcome.version is not None:
        demo = "  (demo data: cannot be released)" if outcome.demo else ""
        lines.append(f"Registered {outcome.system} version {outcome.version}{demo}")
    lines.append(f"Study run {outcome.run_id}, best run {outcome.best_run_id}")
    lines.append(f"  at {outcome.tracking_uri}")
    if outcome.tracking_uri.startswith(("http://", "https://")):
        lines.append(f"  open {outcome.tracking_uri}")
    else:
        lines.append("  mlops server         view it in the MLflow UI")
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
