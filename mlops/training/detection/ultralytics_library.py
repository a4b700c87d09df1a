"""Ultralytics kept to itself: its settings in our cache, nothing installed, fetched, sent or printed
unasked.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.files.atomic import write_durably
from mlops.files.locks import locked_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")


def settle(cache: Path) -> None:
    """Set the library up before it is first imported; what the user has set in the environment stays.

    YOLO_OFFLINE keeps it from looking for updates, sending usage figures and fetching weights for its check
    of mixed precision. Weights that a recipe names are fetched by `start`, which asks for it.
    """
    import torch  # noqa: F401 - before the library, which sets OMP_NUM_THREADS to 1 where nobody has set it

    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    if "YOLO_CONFIG_DIR" not in os.environ:
        home = cache.resolve() / "ultralytics"
        os.environ["YOLO_CONFIG_DIR"] = str(home)
        _lend_fonts(home / "Ultralytics")


def _lend_fonts(folder: Path) -> None:
    """Put matplotlib's font where the library would otherwise fetch one to write on images."""
    if all((folder / name).exists() for name in _FONTS):
        return
    import matplotlib

    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    with locked_folder(folder):
        for name in _FONTS:
            write_durably(folder / name, source.read_bytes())


@contextmanager
def keeping_threads() -> Iterator[None]:
    """Give torch its threads back: on a CPU the library leaves it one fewer than there are processors, which
    is half of what a trial on two has.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Let the library say warnings and worse, on standard error, so that what we print stays ours.

    Its progress bars follow the level of its log.
    """
    from ultralytics.utils import LOGGER
    from ultralytics.utils.events import events

    events.enabled = False
    handlers = [handler for handler in LOGGER.handlers if isinstance(handler, logging.StreamHandler)]
    before = LOGGER.level, [(handler, handler.level, handler.stream) for handler in handlers]
    LOGGER.setLevel(logging.WARNING)
    for handler in handlers:
        handler.setLevel(logging.WARNING)
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        LOGGER.setLevel(before[0])
        for handler, level, stream in before[1]:
            handler.setLevel(level)
            handler.setStream(stream)
