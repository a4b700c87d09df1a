"""A signal that ends a training is not lost, wherever it arrives."""

from __future__ import annotations

import signal
import time
import weakref

import pytest

from mlops.errors import Terminated
from mlops.search.engines.local import termination_as_interrupt


class Watched:
    """Something that can be referred to weakly."""


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_in_a_callback_of_the_collector_is_sent_again(
    number: signal.Signals, raised: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    watched = Watched()
    reference = weakref.ref(watched, lambda _gone: signal.raise_signal(number))
    with pytest.raises(raised), termination_as_interrupt():
        del watched
        time.sleep(10)
    assert reference() is None
    assert "Exception ignored" not in capfd.readouterr().err
