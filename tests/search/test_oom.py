"""A trial that takes its process's memory is not resumed for ever; one that somebody kills is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.search import oom
from mlops.search.oom import MOST, ProcessStart, follow
from mlops.search.suggest import suggest
from tests.search.test_study import study_in


def after(*steps: tuple[int, int], boot: str = "b") -> ProcessStart:
    """Starts one after another: the epoch finished before each, and the kernel's count by then."""
    start = follow(None, 0, 0, boot)
    for epoch, kills in steps:
        start = follow(start.noted(), epoch, kills, boot)
    return start


def test_deaths_for_memory_without_an_epoch_between_are_counted() -> None:
    assert after((0, 1), (0, 2)).deaths == 2
    assert after((3, 1), (3, 2), (3, 3)).deaths == 2


def test_an_epoch_between_two_deaths_begins_the_count_anew() -> None:
    assert after((0, 1), (1, 2)).deaths == 0
    assert after((0, 1), (1, 2), (1, 3)).deaths == 1


def test_what_somebody_killed_is_not_counted() -> None:
    assert after((0, 0), (0, 0), (0, 0)).deaths == 0


def test_a_reboot_and_a_system_without_the_count_tell_nothing() -> None:
    start = follow(after((0, 1)).noted(), 0, 5, "another boot")
    assert start.deaths == 0
    assert follow(ProcessStart(0, None, "b").noted(), 0, None, "b").deaths == 0


def test_a_study_gives_up_a_trial_after_two_such_deaths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "vmstat"
    monkeypatch.setattr(oom, "_COUNTS", counts)
    for kills in range(MOST + 1):
        counts.write_text(f"nr_free_pages 5\noom_kill {kills}\n")
        own = study_in(tmp_path)
        own.ensure_recipe_trial()
        claim = own.claim(3, 0)
        assert claim is not None and claim.trial.number == 0 and claim.deaths == kills
        suggest(claim.trial, own.request.spec.space)
        claim.lock.release()  # as the kernel does when the process dies
