"""Studies and runs recorded as training records them, in no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.tracking import Tracker

START_MS = 1_757_427_471_000
EPOCH_MS = 30_000


@dataclass(frozen=True)
class Trial:
    """scores: val/macro_f1 of each epoch."""

    lr: float
    scores: Sequence[float]
    pruned: bool = False
    failure: str = ""
    epochs: int = 6


def record_study(uri: str, home: Path, name: str, trials: Sequence[Trial], experiment: str) -> list[str]:
    """The ids of the study's run and of its trials'."""
    with Tracker(home, uri, deliver=False) as tracker:
        key = f"{name}@x"
        common = {"mlops.study": name, "mlops.system": "blood-cell-classifier", "mlops.demo": "true"}
        tags = {**common, "mlops.kind": "study"}
        study = tracker.start_run(key, experiment=experiment, name=name, tags=tags, start_ms=START_MS)
        study.log_params({"space": "lr", "seed": 0})
        runs = [study]
        for number, trial in enumerate(trials):
            at = START_MS + number * 1_000_000
            tags = {**common, "mlops.kind": "training", "mlops.trial": str(number)}
            run = tracker.start_run(
                f"{key}/{number}",
                experiment=experiment,
                name=f"trial {number}",
                parent=key,
                tags=tags,
                start_ms=at,
            )
            run.log_params({"lr": trial.lr, "epochs": trial.epochs, "model": "tiny"})
            for epoch, score in enumerate(trial.scores, 1):
                run.log_epoch(epoch, figures(score, epoch), at=at + epoch * EPOCH_MS)
            if trial.scores and not trial.failure:
                best = max(range(len(trial.scores)), key=lambda i: trial.scores[i])
                run.log_summary("best", {"best/epoch": best + 1.0, "best/val/macro_f1": trial.scores[best]})
            if trial.failure:
                run.set_tags({"mlops.failure": trial.failure})
            if trial.pruned:
                run.set_tags({"mlops.pruned": "true"})
            run.finish(
                "FAILED" if trial.failure else "FINISHED", at_ms=at + (len(trial.scores) + 1) * EPOCH_MS
            )
            runs.append(run)
        complete = [i for i, t in enumerate(trials) if t.scores and not t.pruned and not t.failure]
        if complete:
            best = max(complete, key=lambda i: max(trials[i].scores))
            study.set_tags({"mlops.best_trial": str(best)})
            study.log_summary("best", {"best/val/macro_f1": max(trials[best].scores)})
        study.finish("FINISHED", at_ms=START_MS + len(trials) * 1_000_000)
        report = tracker.sync(120)
        assert report.error is None, report.error
        return [str(run.mlflow_id()) for run in runs]


def figures(score: float, epoch: int) -> Mapping[str, float]:
    return {
        "train/loss": 1.0 / epoch,
        "val/loss": 1.1 / epoch,
        "train/macro_f1": score + 0.01,
        "val/macro_f1": score,
        "val/accuracy": score + 0.005,
        "val/F1/big": score + 0.02,
        "val/F1/small": score - 0.02,
        "lr/all": 0.001 * 0.9**epoch,
        "time/epoch_s": 29.5 + epoch / 10,
        "time/images_per_s": 120.0,
    }
