"""The part of a trial that runs on a Ray node: read the data there, train, report, send the files.

A node gets no address of the store and writes nothing but its own scratch folder, `mlops-ray` among its
temporary files or MLOPS_RAY_SCRATCH. A trial's folder there has a name of its own: tried again on the same
node, the trial goes on from its checkpoint.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import mlops
from mlops.errors import DataFault, MlopsError, UserError
from mlops.search.bench import read_data
from mlops.search.engines.ray_messages import Begun, Done, Failed, Figures, FilePart, Task
from mlops.search.request import StudyRequest
from mlops.tracking.locks import OnlyOne
from mlops.training import trainer_for
from mlops.training.protocol import EpochReport, TrainConfig, TrainResult, Verdict

_PART_BYTES = 8 << 20
_HELD_S = 60.0


def train_here(task: Task, up: Any, down: Any) -> Done | Failed:
    """Train `task`. up, down: Ray queues of messages to the study's owner, and of its verdicts."""
    import ray

    host = platform.node()
    up.put(Begun(host, ray.get_runtime_context().get_node_id()))
    try:
        return _train(task, up, down)
    except MlopsError as error:
        return Failed(type(error).__name__, f"on node {host}: {error}")


def forget_here(name: str) -> None:
    """Remove a trial's folder once its files have arrived."""
    shutil.rmtree(_scratch() / name, ignore_errors=True)


def _scratch() -> Path:
    return Path(os.environ.get("MLOPS_RAY_SCRATCH") or Path(tempfile.gettempdir()) / "mlops-ray")


def _train(task: Task, up: Any, down: Any) -> Done:
    from mlops.tracking.system_metrics import SystemMetricsRecorder

    if task.version != mlops.__version__:
        raise UserError(
            f"it has vision-mlops {mlops.__version__}, the study {task.version}: install the same"
        )
    folder = _scratch() / task.name
    folder.mkdir(parents=True, exist_ok=True)
    request = StudyRequest.model_validate_json(task.request).model_copy(update={"home": _scratch()})
    with _held(folder):
        dataset = read_data(request)
        if dataset.identity.digest != task.data_digest:
            raise DataFault(
                f"{' '.join(request.data)} holds other data there ({dataset.identity.digest[:12]}) than the "
                f"study's ({task.data_digest[:12]}); give every node the same, or name an s3:// prefix"
            )
        recipe = type(request.spec.recipe).model_validate(dict(task.recipe))
        trainer = trainer_for(request.spec.task)
        trainer.check(recipe, device=request.device, cache=request.cache)
        config = TrainConfig(
            recipe, dataset, folder, request.device, request.seed, progress=False, cache=request.cache
        )

        def on_epoch(report: EpochReport) -> Verdict:
            up.put(report)
            return Verdict(down.get())

        with SystemMetricsRecorder(_Forwarded(up)):  # type: ignore[arg-type]  # of a Run it uses these two
            result = trainer.fit(config, on_epoch)
        return _sent(result, folder, up)


class _held:  # noqa: N801  reads as a function where it is used
    """Have the trial's folder alone: what a lost connection left running there must end first."""

    def __init__(self, folder: Path) -> None:
        self._lock = OnlyOne(folder / "lock")

    def __enter__(self) -> None:
        ends = time.monotonic() + _HELD_S
        while not self._lock.take():
            if time.monotonic() > ends:
                raise UserError(
                    "an earlier try of this trial is still running there; end it, then start again"
                )
            time.sleep(0.5)

    def __exit__(self, *error: object) -> None:
        self._lock.give_back()


class _Forwarded:
    """Stands for the run, which the study's owner writes."""

    def __init__(self, up: Any) -> None:
        self._up = up
        self._began = int(time.time())

    def last_step(self, _series: str) -> int:
        """Steps are seconds since 1970 here, so that those of a second try follow those of the first."""
        return self._began

    def log_metrics(self, series: str, step: int, metrics: dict[str, float]) -> None:
        self._up.put(Figures(series, step, metrics))


def _sent(result: TrainResult, folder: Path, up: Any) -> Done:
    """Send every file that the result names, in parts."""
    files = {result.best_weights, result.last_weights, *result.artifacts}
    for file in sorted(files):
        with file.open("rb") as stream:
            first = True
            while (data := stream.read(_PART_BYTES)) or first:
                up.put(FilePart(_name(file, folder), first, data))
                first = False
    return Done(
        best_weights=_name(result.best_weights, folder),
        last_weights=_name(result.last_weights, folder),
        best_epoch=result.best_epoch,
        best_metrics=dict(result.best_metrics),
        epochs_done=result.epochs_done,
        parameters=result.parameters,
        artifacts={_name(file, folder): where for file, where in result.artifacts.items()},
    )


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()
