"""Messages between a Ray node and the study's process, and the actor that holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mlops.training.protocol import EpochReport


@dataclass(frozen=True, slots=True)
class Task:
    """One training on a node.

    request: a StudyRequest as JSON, without the store's address. recipe: all of its values.
    name: the trial's folder on the node, the same for every attempt.
    data_digest: required digest of the node's data. version: required version of this product on the node.
    """

    request: str
    recipe: Mapping[str, object]
    name: str
    data_digest: str
    version: str


@dataclass(frozen=True, slots=True)
class Begun:
    """host: the node's name. node_id: Ray's."""

    host: str
    node_id: str


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Metrics other than those of epochs: the node's processors, memory and GPU."""

    series: str
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FilePart:
    """The next bytes of a file; name: relative to the trial's folder, with `/`. first: overwrite the file."""

    name: str
    first: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A TrainResult with the names of its files, which were sent before."""

    best_weights: str
    last_weights: str
    best_epoch: int
    best_metrics: Mapping[str, float]
    epochs_done: int
    parameters: int
    artifacts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """One of our errors, by the name of its class."""

    kind: str
    says: str


Message: TypeAlias = Begun | EpochReport | EpochMetrics | FilePart


_WAITING = 4  # parts of files in transit, for each attempt


class Mailbox:
    """A box for each attempt of a trial. An abandoned attempt has no box, so it ends with a KeyError."""

    def __init__(self) -> None:
        self._messages: dict[str, asyncio.Queue[Message]] = {}
        self._answers: dict[str, asyncio.Queue[str]] = {}

    async def open(self, attempt: str) -> None:
        self._messages[attempt] = asyncio.Queue(_WAITING)
        self._answers[attempt] = asyncio.Queue()

    async def close(self, attempt: str) -> None:
        del self._messages[attempt], self._answers[attempt]

    async def send(self, attempt: str, message: Message) -> None:
        """Returns when the box has capacity for the message."""
        await self._messages[attempt].put(message)

    async def next(self, attempt: str, wait_s: float) -> Message | None:
        """The oldest message not yet taken; None if there is none within `wait_s`."""
        try:
            return await asyncio.wait_for(self._messages[attempt].get(), wait_s)
        except TimeoutError:
            return None

    async def answer(self, attempt: str, said: str) -> None:
        await self._answers[attempt].put(said)

    async def answered(self, attempt: str) -> str:
        """Waits for the answer to the newest message."""
        return await self._answers[attempt].get()


def mailbox_here() -> Any:
    """A new mailbox on the node of this process, so that it only dies together with the owner."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
