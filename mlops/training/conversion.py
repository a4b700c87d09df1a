"""Turn a checkpoint that torch wrote into a safetensors file, in a process of its own.

The process reads the checkpoint as data (`checkpoint_reader`), with limits on memory, time and the size of
what it writes, without the credentials of the environment, and without a network where the kernel allows it.
Nothing else in the product opens a pickle.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from mlops.errors import MissingWeights, UnsafeWeights
from mlops.files.atomic import move_durably
from mlops.files.digests import sha256_of

Writer: TypeAlias = Callable[[Mapping[str, Any], Path, Path], None]
"""Writes the target (third) from the content of the checkpoint, whose file is the second. A module's
function, as it is called by its name in the other process."""

FORMAT = 1  # of what is made; another one is made anew
_LEAST_MEMORY, _MEMORY_PER_BYTE = 2 << 30, 4
_CPU_S, _WALL_S = 60, 300
_MORE_BYTES = 64 << 20
_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
)
_STATUS = {2: UnsafeWeights, 3: MissingWeights}
_NO_NEW_PRIVILEGES, _NEW_USER, _NEW_NETWORK = 38, 0x10000000, 0x40000000


def converted(checkpoint: Path, cache: Path, write: Writer) -> Path:
    """The safetensors file made from `checkpoint`, in `cache`; made once for each content.

    Raises what `convert` raises.
    """
    target = cache / f"converted-{FORMAT}" / f"{sha256_of(checkpoint)}.safetensors"
    return target if target.exists() else convert(checkpoint, target, write)


def convert(checkpoint: Path, target: Path, write: Writer) -> Path:
    """Write `target` from `checkpoint` and return it.

    Raises UnsafeWeights for a file that is not read here or that exceeds a limit, MissingWeights for one
    without a network.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    size = checkpoint.stat().st_size
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as folder:
        made = Path(folder) / "converted.safetensors"
        called = (write.__module__, write.__name__, str(checkpoint.resolve()), str(made), str(size))
        command = [sys.executable, "-P", "-m", __name__, *called]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            done = subprocess.run(
                command,
                env={**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_WALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnsafeWeights(
                f"{checkpoint} was not read within {_WALL_S} s; it is not a usable checkpoint"
            ) from error
        if done.returncode or not made.is_file():
            raise _failure(checkpoint, done.returncode, done.stderr.decode("utf-8", "replace"))
        move_durably(made, target)
    return target


def _failure(checkpoint: Path, status: int, text: str) -> Exception:
    told = "".join(each for each in " ".join(text.split()) if each.isprintable())
    if status in _STATUS:
        return _STATUS[status](told)
    reason = (text.strip().splitlines() or [f"status {status}"])[-1][:300]
    return UnsafeWeights(
        f"{checkpoint} could not be read as a checkpoint within {_CPU_S} s and "
        f"{_memory(checkpoint.stat().st_size) >> 30} GiB of memory ({reason})"
    )


def _memory(size: int) -> int:
    return _LEAST_MEMORY + _MEMORY_PER_BYTE * size


def _main(module: str, name: str, checkpoint: str, target: str, size: str) -> int:
    """The process: 0, or a key of `_STATUS` with one line on stderr."""
    _confine(int(size))
    from mlops.training.checkpoint_reader import read_checkpoint
    from mlops.training.pickles import unsafe_in_checkpoint
    from mlops.training.weights import refuse_unsafe

    file = Path(checkpoint)
    try:
        refuse_unsafe(file, unsafe_in_checkpoint(file))
        getattr(import_module(module), name)(read_checkpoint(file), file, Path(target))
    except tuple(_STATUS.values()) as error:
        sys.stderr.write(f"{error}\n")
        return next(status for status, kind_of in _STATUS.items() if type(error) is kind_of)
    except Exception as error:  # noqa: BLE001 - torch may raise anything for what anyone may have written
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        sys.stderr.write(f"{file} is not a readable checkpoint: {reason}\n")
        return 2
    return 0


def _confine(size: int) -> None:
    """Limit this process before it reads anything. Each limit is left out where the system has none."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for limit, most in (
            (resource.RLIMIT_DATA, _memory(size)),
            (resource.RLIMIT_CPU, _CPU_S),
            (resource.RLIMIT_FSIZE, 2 * size + _MORE_BYTES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if libc.unshare(_NEW_NETWORK) != 0:
            libc.unshare(_NEW_USER | _NEW_NETWORK)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
