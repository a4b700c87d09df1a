"""Where nodes leave their messages and the study's owner its answers: an actor on the owner's own node."""

from __future__ import annotations

import asyncio
from typing import Any

from mlops.search.engines.ray_messages import Message

_WAITING = 4  # parts of files on their way, for each try


class Mailbox:
    """A box for each try of a trial. One that was given up has none: what goes on there ends by KeyError."""

    def __init__(self) -> None:
        self._messages: dict[str, asyncio.Queue[Message]] = {}
        self._answers: dict[str, asyncio.Queue[str]] = {}

    async def open(self, attempt: str) -> None:
        self._messages[attempt] = asyncio.Queue(_WAITING)
        self._answers[attempt] = asyncio.Queue()

    async def close(self, attempt: str) -> None:
        del self._messages[attempt], self._answers[attempt]

    async def send(self, attempt: str, message: Message) -> None:
        """Returns once there is room for it."""
        await self._messages[attempt].put(message)

    async def next(self, attempt: str, wait_s: float) -> Message | None:
        """The oldest message that was not taken; None where there is none within `wait_s`."""
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
    """A new mailbox, on the node that this process is connected to: where it dies, the owner has died too."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
