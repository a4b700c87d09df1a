"""Runs that something else trained, taken into MLflow as `mlops import-run` does, and their reports."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from mlops.past_runs import read_past_run, take_in
from mlops.reports.reading.report_data import read_subject
from mlops.reports.report import report_of
from mlops.store.client import connect
from mlops.tracking import Tracker
from tests.reports.told import Told

STARTED_S = 1_757_427_471  # 9 September 2025, 14:17:51 UTC

Column = Mapping[int, float]  # epoch -> figure


@dataclass(frozen=True)
class Desk:
    """A store, and a folder to lay run folders in."""

    uri: str
    folder: Path
    client: MlflowClient = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", connect(self.uri))

    def ultralytics(
        self,
        name: str,
        columns: Mapping[str, Column],
        arguments: Mapping[str, object],
        started_s: int = STARTED_S,
        **more: Any,
    ) -> str:
        """A folder with args.yaml and results.csv, imported: the run's id. No figure is an empty cell."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        epochs = sorted({epoch for column in columns.values() for epoch in column})
        lines = [",".join(("epoch", *columns))]
        lines += [
            ",".join((str(epoch), *(str(column.get(epoch, "")) for column in columns.values())))
            for epoch in epochs
        ]
        (place / "args.yaml").write_text("".join(f"{k}: {v}\n" for k, v in arguments.items()))
        (place / "results.csv").write_text("\n".join(lines) + "\n")
        os.utime(place / "args.yaml", (started_s, started_s))
        return self.take_in(place, **more)

    def history(self, name: str, held: object, **more: Any) -> str:
        """A history.json, imported: the run's id."""
        place = self.folder / f"{name}.json"
        place.write_text(json.dumps(held))
        return self.take_in(place, **more)

    def take_in(
        self,
        place: Path,
        *,
        experiment: str,
        system: str = "",
        profile: Mapping[str, object] | None = None,
        machine: Sequence[Mapping[str, float]] = (),
    ) -> str:
        """profile: of a data set, as training logs it. machine: figures of the machine, one after another."""
        with Tracker(self.folder / "home", self.uri, deliver=False) as tracker:
            tags = {"mlops.system": system} if system else {}
            key = take_in(tracker, read_past_run(place), experiment, tags).key
            run = tracker.run(key)
            if profile is not None:
                run.log_dataset("set", "0" * 64, "set", profile=profile)
            for step, figures in enumerate(machine):
                run.log_metrics("system", step, figures)
            report = tracker.sync(60)
            assert report.error is None, report.error
            found = run.mlflow_id()
        assert found is not None
        return found

    def told(self, name: str, **more: Any) -> Told:
        return Told(report_of(read_subject(self.client, name, **more)))


def spread_over(epochs: Sequence[int], values: Sequence[float]) -> dict[int, float]:
    return dict(zip(epochs, values, strict=True))


def line(first: tuple[int, float], last: tuple[int, float], decimals: int = 6) -> dict[int, float]:
    """A straight line from one epoch's figure to another's, both included."""
    (a, start), (b, end) = first, last
    return {e: round(start + (end - start) * (e - a) / (b - a), decimals) for e in range(a, b + 1)}
