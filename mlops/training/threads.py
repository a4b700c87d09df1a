"""torch's threads of a training: what other work leaves free, chosen at the start and after each epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlops.machine.processors import LoadMeter, fair_threads, most_threads, users_threads
from mlops.terminal.messages import note

if TYPE_CHECKING:
    from mlops.training.protocol import EpochReport, OnEpoch, Verdict


_EVERY_S = 5.0  # looking at all processes takes some hundredths of a second


def loading_processes(wanted: int) -> int:
    """`workers` of a recipe, at most one for each processor that this command may use."""
    return min(wanted, most_threads())


class TrainingThreads:
    """Sets torch's number of threads; the user's OMP_NUM_THREADS has priority and is never changed."""

    def __init__(self) -> None:
        self._meter = LoadMeter()
        self._told = False
        self._chosen_at = 0.0

    def choose(self) -> None:
        """Set the number by the load since the last choice. Tells the first time that it is not the most."""
        most = most_threads()
        if most == 1 or users_threads() is not None:
            return
        import torch

        self._chosen_at = time.monotonic()
        load = self._meter.read()
        threads = fair_threads(most, load)
        torch.set_num_threads(threads)
        if threads < most and not self._told:
            self._told = True
            note(
                f"Training with {threads} of {most} threads beside other work, which keeps {load.others:.1f} "
                "processors busy; the number follows the load. OMP_NUM_THREADS fixes it."
            )

    def after_each_epoch(self, on_epoch: OnEpoch) -> OnEpoch:
        """`on_epoch`, followed by a new choice unless the last one was a moment ago."""

        def on_epoch_and_choose(report: EpochReport) -> Verdict:
            verdict = on_epoch(report)
            if time.monotonic() - self._chosen_at >= _EVERY_S:
                self.choose()
            return verdict

        return on_epoch_and_choose
