"""Convert exceptions of a library to our errors."""

from __future__ import annotations

import errno
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.errors import DiskFull, MlopsError, OutOfMemory, TrainingCrashed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "insufficient memory",
    "cublas_status_alloc_failed",
    "unable to allocate",
    "insufficient shared memory",
    "killed by signal: killed",
)


@contextmanager
def named(folder: Path) -> Iterator[None]:
    """Re-raise exceptions of the block as OutOfMemory, DiskFull or TrainingCrashed, with their cause.

    Our own errors and KeyboardInterrupt are not changed.
    """
    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # frees the tensors in them for the next trial
        if is_memory(error):
            raise OutOfMemory(f"{one_line(error)}; use a smaller batch or image_size") from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(str(folder), "checkpoints") from error
        raise TrainingCrashed(f"{type(error).__name__}: {one_line(error)}") from error


def is_memory(error: BaseException) -> bool:
    """True if memory of the device, of the machine or shared memory of the loaders was exhausted."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(word in words for word in _MEMORY_WORDS)


def one_line(error: BaseException, most: int = 300) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= most else words[:most] + " ..."
