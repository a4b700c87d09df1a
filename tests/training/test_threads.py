"""torch's number of threads follows the load, and never the user's own number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from mlops.machine.processors import Load
from mlops.training import threads
from mlops.training.protocol import EpochReport, Verdict
from mlops.training.threads import TrainingThreads

IDLE, BUSY = Load(others=0.0, processes=0), Load(others=3.6, processes=8)


class Meter:
    """Reports these loads, one after the other."""

    def __init__(self, *loads: Load) -> None:
        self.loads = list(loads)

    def read(self) -> Load:
        return self.loads.pop(0)


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Four processors without a number of the user's."""
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "most_threads", lambda: 4)
    monkeypatch.setattr(threads, "users_threads", lambda: None)
    monkeypatch.setattr(threads, "_EVERY_S", 0.0)
    yield monkeypatch
    torch.set_num_threads(before)


def with_loads(*loads: Load) -> TrainingThreads:
    chosen = TrainingThreads()
    chosen._meter = Meter(*loads)  # type: ignore[assignment]
    return chosen


def test_they_follow_the_load_from_epoch_to_epoch_and_say_so_once(
    four: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen, seen = with_loads(BUSY, BUSY, IDLE, BUSY), []
    on_epoch = chosen.after_each_epoch(lambda _report: Verdict.STOP)
    chosen.choose()
    seen.append(torch.get_num_threads())
    for number in range(3):
        assert on_epoch(EpochReport(number + 1, {}, 1.0, 1)) is Verdict.STOP
        seen.append(torch.get_num_threads())
    assert seen == [1, 1, 4, 1]
    assert capfd.readouterr().err.count("Training with 1 of 4 threads") == 1


def test_a_short_epoch_is_not_measured(four: pytest.MonkeyPatch) -> None:
    four.setattr(threads, "_EVERY_S", 60.0)
    chosen = with_loads(IDLE)
    chosen.choose()
    chosen.after_each_epoch(lambda _report: Verdict.CONTINUE)(EpochReport(1, {}, 0.1, 1))
    assert torch.get_num_threads() == 4


def test_the_users_number_stays(four: pytest.MonkeyPatch) -> None:
    four.setattr(threads, "users_threads", lambda: 3)
    torch.set_num_threads(3)
    with_loads().choose()  # without a load to read
    assert torch.get_num_threads() == 3
