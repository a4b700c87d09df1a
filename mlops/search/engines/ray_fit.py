"""Train a trial on a Ray cluster: the side of the process that owns the study.

Only that process writes the outbox and the study: a node reports each epoch and waits for the verdict, like a
trainer in this process. If a node dies, the trial's checkpoint is lost but its record is not; the trial is
repeated, on the same node if it is back, else on another.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlops
from mlops import errors
from mlops.errors import MlopsError, OutOfMemory, ServerUnavailable, TrainingCrashed, UserError
from mlops.search.engines.ray_messages import Begun, Done, EpochMetrics, Failed, FilePart, Message, Task
from mlops.search.engines.ray_node import forget_here, train_here
from mlops.search.trial import Bench, epoch_handler
from mlops.store.names import folder_name
from mlops.training.protocol import EpochReport, OnEpoch, TrainResult

if TYPE_CHECKING:
    import optuna

    from mlops.systems.recipe import AnyRecipe
    from mlops.tracking import Run

_TRIES = 3
_POLL_S = 1.0
_WORD_S = 15.0


class NodeLost(Exception):
    """The node, or the process on it, died."""


@dataclass(slots=True)
class RayFitter:
    """Implements `mlops.search.trial.Fitter`.

    mailbox: see `ray_messages`. cpus, gpus: resources of one trial. stop: set to end all training.
    """

    mailbox: Any
    cpus: int
    gpus: float
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(
        self, bench: Bench, recipe: AnyRecipe, folder: Path, run: Run, trial: optuna.Trial | None
    ) -> TrainResult:
        task = _task_of(bench, recipe, folder)
        said = ""
        for _ in range(_TRIES):
            try:
                attempt = _Attempt(run, trial, folder, epoch_handler(bench, run, trial))
                done = attempt.run(self, task)
            except NodeLost as lost:
                said = str(lost)
                sys.stderr.write(f"mlops: {folder.name}: {said}; retrying\n")
                attempt.wait_for_word_of_node(self.stop)
                continue
            attempt.forget(task)
            return _result(done, folder)
        raise TrainingCrashed(f"its node was lost {_TRIES} times; the last reason: {said}")


class _Attempt:
    """One attempt of a trial on a node."""

    def __init__(self, run: Run, trial: optuna.Trial | None, folder: Path, on_epoch: OnEpoch) -> None:
        self._run, self._trial, self._folder, self._on_epoch = run, trial, folder, on_epoch
        self._node = str(trial.user_attrs.get("node", "")) if trial is not None else ""

    def run(self, fitter: RayFitter, task: Task) -> Done:
        """Raises NodeLost, the training's error, or KeyboardInterrupt if the fitter was stopped."""
        import ray
        from ray.exceptions import RayError

        mailbox, attempt = fitter.mailbox, uuid.uuid4().hex
        ray.get(mailbox.open.remote(attempt))
        remote = ray.remote(train_here).options(
            num_cpus=fitter.cpus,
            num_gpus=fitter.gpus,
            max_retries=0,  # the owner must know of each attempt
            scheduling_strategy=_on(self._node) if self._node in _alive() else "SPREAD",
        )
        answer = remote.remote(task, mailbox, attempt)
        try:
            self._listen(answer, mailbox, attempt, fitter.stop)
            return _understood(_got(answer))
        except RayError as error:  # the mailbox is gone
            raise ServerUnavailable(
                "lost the connection to the Ray cluster; run the same command to resume when it is back"
            ) from error
        finally:
            ray.cancel(answer, force=True)
            mailbox.close.remote(attempt)

    def _listen(self, answer: Any, mailbox: Any, attempt: str, stop: threading.Event) -> None:
        """Take messages until the task has ended and no message is left."""
        import ray

        while True:
            if stop.is_set():
                raise KeyboardInterrupt
            ended = bool(ray.wait([answer], timeout=0)[0])
            message: Message | None = ray.get(mailbox.next.remote(attempt, 0.01 if ended else _POLL_S))
            if isinstance(message, EpochReport):
                verdict = self._on_epoch(message)
                mailbox.answer.remote(attempt, verdict.value)
            elif message is not None:
                self._take(message)
            elif ended:
                return

    def _take(self, message: Begun | EpochMetrics | FilePart) -> None:
        if isinstance(message, Begun):
            self._node = message.node_id
            self._run.set_tags({"mlops.node": message.host})
            if self._trial is not None:
                self._trial.set_user_attr("node", message.node_id)
        elif isinstance(message, EpochMetrics):
            self._run.log_metrics(message.series, message.step, message.metrics)
        else:
            _write(message, self._folder)

    def wait_for_word_of_node(self, stop: threading.Event) -> None:
        """Ray reports a lost node after some seconds; if the node is still alive, only its worker died."""
        ends = time.monotonic() + _WORD_S
        while self._node in _alive() and time.monotonic() < ends and not stop.wait(_POLL_S):
            pass

    def forget(self, task: Task) -> None:
        """Let the node delete its copy, if the node still exists."""
        import ray

        if self._node in _alive():
            where = _on(self._node)
            ray.remote(forget_here).options(num_cpus=0, scheduling_strategy=where).remote(task.name)


def _task_of(bench: Bench, recipe: AnyRecipe, folder: Path) -> Task:
    request = bench.study.request
    changed = {
        "tracking_uri": "",  # nodes do not use the store
        "adopt_run": "",
        "progress": False,
        "home": Path(),
        "data": tuple(source if "://" in source else str(Path(source).absolute()) for source in request.data),
        "class_map": request.class_map and request.class_map.absolute(),
    }
    plain = request.model_copy(update=changed)
    return Task(
        request=plain.model_dump_json(),
        recipe=recipe.model_dump(mode="json"),
        name=f"{folder_name(bench.study.key)}/{folder.name}",
        data_digest=bench.dataset.identity.digest,
        version=mlops.__version__,
    )


def _write(part: FilePart, folder: Path) -> None:
    target = (folder / part.name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise TrainingCrashed(f"its node sent a file with the invalid name {part.name!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb" if part.first else "ab") as stream:
        stream.write(part.data)


def _result(done: Done, folder: Path) -> TrainResult:
    return TrainResult(
        best_weights=folder / done.best_weights,
        last_weights=folder / done.last_weights,
        best_epoch=done.best_epoch,
        best_metrics=done.best_metrics,
        epochs_done=done.epochs_done,
        parameters=done.parameters,
        artifacts={folder / name: where for name, where in done.artifacts.items()},
    )


def _got(answer: Any) -> Done | Failed:
    import ray
    from ray import exceptions

    try:
        said: Done | Failed = ray.get(answer)
    except exceptions.OutOfMemoryError as error:
        raise OutOfMemory("its node killed it for lack of memory; use a smaller batch") from error
    except exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(
                f"package {cause.name} is missing on a Ray node; install vision-mlops[ray] there"
            ) from error
        raise TrainingCrashed(f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}") from error
    except exceptions.RayError as error:
        raise NodeLost(" ".join(str(error).split())[:200]) from error
    return said


def _understood(said: Done | Failed) -> Done:
    if isinstance(said, Done):
        return said
    kind: Callable[[str], MlopsError] = TrainingCrashed
    found = getattr(errors, said.kind, TrainingCrashed)
    if issubclass(found, errors.TrialFailed):
        kind = found
    elif issubclass(found, UserError):
        kind = UserError  # some subclasses have other constructor arguments
    raise kind(said.says)


def _alive() -> set[str]:
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _on(node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=False)
