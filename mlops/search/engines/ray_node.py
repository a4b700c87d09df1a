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
    """The study's owner, as one try of a trial sees it. mailbox: the handle of its `Mailbox`."""

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
    """Train `task` and tell its owner all about it."""
    import ray

    host, owner = platform.node(), Owner(mailbox, attempt)
    owner.tell(Begun(host, ray.get_runtime_context().get_node_id()))
    try:
        return _train(task, owner)
    except MlopsError as error:
        return Failed(type(error).__name__, f"on node {host}: {error}")


def forget_here(name: str) -> None:
    """Remove a trial's folder once its files have arrived."""
    shutil.rmtree(_scratch() / name, ignore_errors=True)


def _scratch() -> Path:
    return Path(os.environ.get("MLOPS_RAY_SCRATCH") or Path(tempfile.gettempdir()) / "mlops-ray")


def _train(task: Task, owner: Owner) -> Done:
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
        with SystemMetricsRecorder(_Forwarded(owner)):  # type: ignore[arg-type]  # of a Run it uses these two
            result = trainer.fit(config, owner.ask)
        return _sent(result, folder, owner)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Have the trial's folder alone: what a lost connection left running there must end first."""
    lock = ProcessLock(folder / "lock")
    if not lock.take(wait_s=_HELD_S):
        raise UserError("an earlier try of this trial is still running there; end it, then start again")
    try:
        yield
    finally:
        lock.release()


class _Forwarded:
    """Stands for the run, which the study's owner writes."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._began = int(time.time())

    def last_step(self, _series: str) -> int:
        """Steps are seconds since 1970 here, so that those of a second try follow those of the first."""
        return self._began

    def log_metrics(self, series: str, step: int, metrics: dict[str, float]) -> None:
        self._owner.tell(EpochMetrics(series, step, metrics))


def _sent(result: TrainResult, folder: Path, owner: Owner) -> Done:
    """Send every file that the result names, in parts."""
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
