"""Follow every figure of a report's JSON back to MLflow.

python -m tests.reports.trace sqlite:///mlflow.db report-folder/report.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient

WORKED: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda v: float(np.mean(v)),
    "sum": lambda v: float(np.sum(v)),
    "minimum": min,
    "maximum": max,
    "standard deviation": lambda v: float(np.std(v)),
    "coefficient of variation": lambda v: float(np.std(v) / abs(np.mean(v))),
}


class Trace:
    """Looks a report's sources up in one store."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self.run = cache(client.get_run)
        self.history = cache(self._history)

    def _history(self, run_id: str, key: str) -> dict[int, float]:
        found = sorted(self._client.get_metric_history(run_id, key), key=lambda m: (m.step, m.timestamp))
        return {metric.step: metric.value for metric in found}

    def faults(self, report: dict[str, Any]) -> Iterator[str]:
        """Whatever in the report cannot be found in the store as the report says, in words."""
        for section in report["sections"]:
            for block in section["blocks"]:
                for source in block.get("from", ()):
                    yield from self._missing(section["title"], source)
                for row in block.get("rows", ()):
                    for cell in row:
                        yield from (f"{section['title']}: {each}" for each in self._of_cell(cell))

    def _of_cell(self, cell: dict[str, Any]) -> Iterator[str]:
        value, rule, sources = cell.get("value"), cell.get("rule", ""), cell.get("from", [])
        if value is not None and not sources and rule != "epoch":
            yield f"{cell['text']} names no source"
        gone = [fault for source in sources for fault in self._missing(cell["text"], source)]
        yield from gone
        metrics = [source for source in sources if "metric" in source]
        if gone or value is None or not metrics or len(metrics) < len(sources):
            return
        expected = self._worked(rule, metrics)
        if expected is not None and not math.isclose(expected, value, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{cell['text']} is {value}, the store has {expected} ({rule} of {metrics})"

    def _worked(self, rule: str, metrics: list[dict[str, str]]) -> float | None:
        found = [v for source in metrics for v in self._values(source) if math.isfinite(v)]
        if rule == "read":
            return found[0]
        if rule == "difference" and len(found) == 2:
            return found[1] - found[0] if len(metrics) == 1 else found[0] - found[1]
        if rule == "change" and len(found) == 2:
            first, last = found if len(metrics) == 1 else found[::-1]
            return last / first - 1
        return WORKED[rule](found) if rule in WORKED else None

    def _values(self, source: dict[str, str]) -> list[float]:
        history = self.history(source["run"], source["metric"])
        steps = source.get("steps", "")
        if ".." in steps:
            first, last = map(int, steps.split(".."))
            return [value for step, value in history.items() if first <= step <= last]
        chosen = [int(step) for step in steps.split(",")] if steps else list(history)
        return [history[step] for step in chosen]

    def _missing(self, what: str, source: dict[str, str]) -> Iterator[str]:
        run = self.run(source["run"])
        if "metric" in source:
            try:
                if not self._values(source):
                    yield f"{what}: {source} holds no value"
            except KeyError as step:
                yield f"{what}: {source} has no step {step}"
        if "param" in source and source["param"] not in run.data.params:
            yield f"{what}: there is no param {source['param']}"
        if "tag" in source and source["tag"] not in run.data.tags:
            yield f"{what}: there is no tag {source['tag']}"
        if "dataset" in source and not run.inputs.dataset_inputs:
            yield f"{what}: the run has no data set"
        if "file" in source:
            folder = source["file"].rpartition("/")[0]
            if source["file"] not in {
                f.path for f in self._client.list_artifacts(source["run"], folder or None)
            }:
                yield f"{what}: there is no file {source['file']}"


def cells_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        cell
        for section in report["sections"]
        for block in section["blocks"]
        for row in block.get("rows", ())
        for cell in row
    ]


if __name__ == "__main__":
    uri, *files = sys.argv[1:]
    trace = Trace(MlflowClient(uri, uri))
    for file in files:
        held = json.loads(Path(file).read_text(encoding="utf-8"))
        found = list(trace.faults(held))
        figures = sum(cell.get("value") is not None for cell in cells_of(held))
        sys.stdout.write("\n".join([*found, f"{file}: {figures} figures, {len(found)} faults", ""]))
