"""A study and its trials as runs: names, tags, params and artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import class_counts
from mlops.errors import MlopsError, TrialFailed, UserError
from mlops.search.study import Study
from mlops.systems import recipe_digest
from mlops.systems.recipe import AnyRecipe
from mlops.tracking.environment import code_state, library_versions
from mlops.training.protocol import TestResult, TrainResult
from mlops.training.weights import file_digest

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset
    from mlops.data.faults import Fault
    from mlops.tracking import Run, Tracker


class RunBook:
    """Opens the runs of one study. Runs have keys, so opening one again continues it."""

    def __init__(self, tracker: Tracker, study: Study, dataset: Dataset) -> None:
        self._tracker = tracker
        self._study = study
        self._dataset = dataset

    @property
    def _common_tags(self) -> dict[str, str]:
        identity, request, code = self._dataset.identity, self._study.request, code_state()
        libraries = {f"mlops.lib.{name}": number for name, number in library_versions().items()}
        return {
            "mlops.system": request.spec.name,
            "mlops.study": self._study.name,
            "mlops.dataset_digest": identity.digest,
            "mlops.dataset_version": identity.version,
            "mlops.demo": str(identity.demo).lower(),
            "mlops.code_commit": code.commit,
            "mlops.code_dirty": str(code.dirty).lower(),
            "mlops.licence": request.spec.licence,
            **libraries,
        }

    def study_run(self) -> Run:
        """The parent run: the one of `mlflow run`, if that started this process, else a new one."""
        request = self._study.request
        run = self._tracker.start_run(
            self._study.key,
            experiment=request.spec.name,
            name=self._study.name,
            tags={**self._common_tags, "mlops.kind": "study"},
            adopt=request.adopt_run or None,
        )
        if request.adopt_run and run.adopted != request.adopt_run:
            self._launch_run(request.adopt_run)
        run.log_params(
            {
                "system": request.spec.name,
                "data": " ".join(request.data) or "demo",
                "seed": request.seed,
                "space": ", ".join(request.spec.space) or "none",
            }
        )
        self._log_dataset(run)
        return run

    def _launch_run(self, mlflow_id: str) -> None:
        """Put a run of `mlflow run` for an existing study below the study's run, as a later launch."""
        self._tracker.start_run(
            f"{self._study.key}/launch-{mlflow_id}",
            experiment=self._study.request.spec.name,
            name=f"launch of {self._study.name}",
            parent=self._study.key,
            tags={**self._common_tags, "mlops.kind": "launch"},
            adopt=mlflow_id,
        )

    def trial_run(self, number: int, recipe: AnyRecipe, chosen: dict[str, object]) -> Run:
        """A trial's run; its name has the chosen values."""
        says = ", ".join(f"{name}={_short(value)}" for name, value in chosen.items()) if number else "recipe"
        name = f"trial {number}" + (f": {says}" if says else "")
        return self._training_run(self._study.trial_key(number), name, recipe, {"mlops.trial": str(number)})

    def begun_trial(self, number: int) -> Run | None:
        """The run of a trial that another process started; None if it ended before it created the run."""
        try:
            return self.known(self._study.trial_key(number))
        except UserError:
            return None

    def known(self, key: str) -> Run:
        """An existing run, by its key."""
        return self._tracker.run(key)

    def final_run(self, recipe: AnyRecipe, best_trial: int) -> Run:
        """The run of the training of the best parameters with all epochs."""
        name = f"final fit of trial {best_trial}"
        return self._training_run(
            f"{self._study.key}/final-{best_trial:03d}", name, recipe, {"mlops.trial": "final"}
        )

    def _training_run(self, key: str, name: str, recipe: AnyRecipe, tags: dict[str, str]) -> Run:
        run = self._tracker.start_run(
            key,
            experiment=self._study.request.spec.name,
            name=name[:250],
            parent=self._study.key,
            tags={
                **self._common_tags,
                **tags,
                "mlops.kind": "training",
                "mlops.recipe_digest": recipe_digest(recipe),
                **first_weights_tag(recipe),
            },
        )
        run.log_params({**recipe.model_dump(), "seed": self._study.request.seed})
        self._log_dataset(run)
        return run

    def _log_dataset(self, run: Run) -> None:
        dataset, identity = self._dataset, self._dataset.identity
        sizes = {split: len(items) for split, items in dataset.splits.items()}
        mapped = {"class_map": identity.class_map} if identity.class_map else {}
        run.log_dataset(
            name=identity.name,
            digest=identity.digest,
            source=identity.path,
            context="training",
            profile={
                "pictures": sizes,
                "classes": list(dataset.classes),
                "counts": class_counts(dataset),
                "version": identity.version,
                **mapped,
            },
        )

    @contextmanager
    def watched(self, run: Run) -> Iterator[None]:
        """Record the machine's CPU, memory and GPU metrics into `run` during the block."""
        from mlops.tracking.system_metrics import SystemMetricsRecorder

        with SystemMetricsRecorder(run):
            yield

    def trained(self, run: Run, result: TrainResult) -> None:
        """Log a finished training's files and its best epoch's metrics."""
        for path, folder in result.artifacts.items():
            run.log_artifact(path, folder)
        best = {f"best/{name}": value for name, value in result.best_metrics.items() if _is_headline(name)}
        run.log_summary(
            "best",
            {"best/epoch": float(result.best_epoch), "model/parameters": float(result.parameters), **best},
        )

    def tested(self, run: Run, result: TestResult) -> None:
        """Log the metrics and the per-sample table of a held-out test."""
        for path, folder in result.artifacts.items():
            run.log_artifact(path, folder)
        if result.per_sample is not None:
            run.log_artifact(result.per_sample, "test")
        run.log_summary("test", result.metrics)

    def failed(self, run: Run, failure: MlopsError) -> None:
        """Close a run with the reason of its failure."""
        reason = failure.reason if isinstance(failure, TrialFailed) else "user error"
        run.set_tags({"mlops.failure": f"{reason}: {failure}"[:5000]})
        run.finish("FAILED")

    @contextmanager
    def closed(self, run: Run) -> Iterator[None]:
        """Close `run` if the block raises: with the reason of a failure, or as KILLED."""
        try:
            yield
        except MlopsError as failure:
            self.failed(run, failure)
            raise
        except KeyboardInterrupt:
            run.finish("KILLED")
            raise
        except Exception:
            run.finish("FAILED")
            raise

    def data_faults(self, run: Run, faults: list[Fault], folder: Path) -> None:
        """Log the faults of the data check to the study."""
        from mlops.data.faults import as_rows

        path = folder / "data_faults.json"
        path.write_text(json.dumps(as_rows(faults), indent=1), encoding="utf-8")
        run.log_artifact(path, "data")
        run.set_tags({"mlops.data_warnings": str(sum(fault.severity == "warning" for fault in faults))})


def first_weights_tag(recipe: AnyRecipe) -> dict[str, str]:
    """The digest of the file of initial weights; no tag for `none` or a library's name."""
    digest = file_digest(recipe.weights)
    return {"mlops.first_weights_digest": digest} if digest else {}


def _is_headline(metric: str) -> bool:
    """True for a metric of the whole validation split, not of one class or source."""
    return metric.startswith("val/") and metric.count("/") == 1


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
