"""The part of a trial that runs on a Ray node: read the data, train, report, send the files.

A node does not get the store's address and writes only to its scratch folder: `mlops-ray` in its temporary
folder, or MLOPS_RAY_SCRATCH. A trial has its own folder there: another attempt on the same node resumes from
its checkpoint.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlops
from mlops.errors import DataFault, MlopsError, UserError
from mlops.files.locks import ProcessLock
from mlops.search.context import read_data
from mlops.search.engines.ray_messages import Begun, Done, EpochMetrics, Failed, FilePart, Message, Task
from mlops.search.request import StudyRequest
from mlops.training import trainer_for
from mlops.training.protocol import EpochReport, TrainConfig, TrainResult, Verdict

_PART_BYTES = 8 << 20
_HELD_S = 60.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Access to the study's owner from one attempt of a trial. mailbox: the handle of its `Mailbox`."""

    mailbox: Any
    attempt: str

    def tell(self, message: Message) -> None:
        import ray

        ray.get(self.mailbox.send.remote(self.attempt, message))

    def ask(self, report: EpochReport) -> Verdict:
        import ray

        self.tell(report)
        return Verdict(ray.get(self.mailbox.answered.remote(self.attempt)))


def train_here(task: Task, mailbox: Any, attempt: str) -> Done | Failed:
    """Train `task` and send everything to its owner."""
    import ray

    host, owner = platform.node(), Owner(mailbox, attempt)
    owner.tell(Begun(host, ray.get_runtime_context().get_node_id()))
    try:
        return _train(task, owner)
    except MlopsError as error:
        return Failed(type(error).__name__, f"on node {host}: {error}")


def forget_here(name: str) -> None:
    """Remove a trial's folder after its files have arrived."""
    shutil.rmtree(_scratch() / name, ignore_errors=True)


def _scratch() -> Path:
    return Path(os.environ.get("MLOPS_RAY_SCRATCH") or Path(tempfile.gettempdir()) / "mlops-ray")


def _train(task: Task, owner: Owner) -> Done:
    from mlops.tracking.system_metrics import SystemMetricsRecorder

    if task.version != mlops.__version__:
        raise UserError(
            f"vision-mlops is {mlops.__version__}, but the study has {task.version}; install the same version"
        )
    folder = _scratch() / task.name
    folder.mkdir(parents=True, exist_ok=True)
    request = StudyRequest.model_validate_json(task.request).model_copy(update={"home": _scratch()})
    with _held(folder):
        dataset = read_data(request)
        if dataset.identity.digest != task.data_digest:
            raise DataFault(
                f"{' '.join(request.data)} has the digest {dataset.identity.digest[:12]}, but the study's "
                f"data have {task.data_digest[:12]}; copy the same data to every node, or use an s3:// prefix"
            )
        recipe = type(request.spec.recipe).model_validate(dict(task.recipe))
        trainer = trainer_for(request.spec.task)
        trainer.check(recipe, device=request.device, cache=request.cache)
        config = TrainConfig(
            recipe, dataset, folder, request.device, request.seed, progress=False, cache=request.cache
        )
        with SystemMetricsRecorder(_Forwarded(owner)):  # type: ignore[arg-type]  # of a Run it uses these two
            result = trainer.fit(config, owner.ask)
        return _sent(result, folder, owner)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock the trial's folder: an earlier attempt that still runs after a lost connection must end first."""
    lock = ProcessLock(folder / "lock")
    if not lock.take(wait_s=_HELD_S):
        raise UserError("an earlier attempt of this trial is still running; end it, then run again")
    try:
        yield
    finally:
        lock.release()


class _Forwarded:
    """Stand-in for the run, which only the study's owner writes."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._began = int(time.time())

    def last_step(self, _series: str) -> int:
        """Steps are seconds since 1970 here, so that those of a second attempt follow those of the first."""
        return self._began

    def log_metrics(self, series: str, step: int, metrics: dict[str, float]) -> None:
        self._owner.tell(EpochMetrics(series, step, metrics))


def _sent(result: TrainResult, folder: Path, owner: Owner) -> Done:
    """Send every file of the result, in parts."""
    files = {result.best_weights, result.last_weights, *result.artifacts}
    for file in sorted(files):
        with file.open("rb") as stream:
            first = True
            while (data := stream.read(_PART_BYTES)) or first:
                owner.tell(FilePart(_name(file, folder), first, data))
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
