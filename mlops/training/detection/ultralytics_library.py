"""Isolate Ultralytics: its settings are in our cache, and it does not install, fetch, send or print by
itself.
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
    """Configure the library before its first import; the user's environment variables have priority.

    YOLO_OFFLINE prevents update checks, usage statistics and the download of weights for its check of mixed
    precision. `first_weights` fetches the weights of a recipe.
    """
    import torch  # noqa: F401 - before the library, which sets OMP_NUM_THREADS to 1 if it is not set

    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"  # its own restricted loader, behind our checks
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    if "YOLO_CONFIG_DIR" not in os.environ:
        home = cache.resolve() / "ultralytics"
        os.environ["YOLO_CONFIG_DIR"] = str(home)
        _lend_fonts(home / "Ultralytics")


def _lend_fonts(folder: Path) -> None:
    """Copy matplotlib's font, as the library would otherwise download one for labels on images."""
    if all((folder / name).exists() for name in _FONTS):
        return
    import matplotlib

    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    with locked_folder(folder):
        for name in _FONTS:
            write_durably(folder / name, source.read_bytes())


@contextmanager
def keeping_threads() -> Iterator[None]:
    """Restore torch's number of threads: on a CPU the library uses one fewer than there are processors, which
    is half of two.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Restrict the library's log to warnings and errors on stderr, so that stdout has only our output.

    Its progress bars depend on its log level.
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
