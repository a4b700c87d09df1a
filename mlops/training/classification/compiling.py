"""torch.compile where it pays within the training (`compile=auto`), decided by measured epochs."""

from __future__ import annotations

import logging
import shutil
from importlib.util import find_spec
from typing import Any, Protocol

import torch

from mlops.terminal.messages import note
from mlops.training.torch_internals import run_uncompilable_code_as_it_is

log = logging.getLogger(__name__)
COMPILING_S = 60.0  # assumed
GAIN = 0.2  # of the time of an epoch, assumed; what it really is decides whether the network stays compiled
MARGIN = 2.0  # what is saved must be this many times what compiling takes


def pays(epoch_s: float, epochs_left: int) -> bool:
    """Whether compiling now probably shortens the rest of the training.

    >>> pays(epoch_s=5, epochs_left=10), pays(epoch_s=60, epochs_left=20)
    (False, True)
    """
    return GAIN * epoch_s * epochs_left > MARGIN * COMPILING_S


def compiled(forward: Any) -> Any:
    """`forward`, compiled at its first call; the number of threads may change afterwards."""
    return torch.compile(forward, dynamic=False, options={"cpp.dynamic_threads": True})


class Compilable(Protocol):
    """A network in training that can be compiled, and taken back."""

    backbone_frozen: bool

    @property
    def device(self) -> torch.device: ...

    def use_compiled(self) -> None: ...

    def use_eager(self) -> None: ...


class CompileChoice:
    """Compiles after the first measured epoch if it pays, and takes it back if the network was not faster."""

    def __init__(self) -> None:
        self._eager_s = 0.0
        self._compiled_epochs = 0
        self._decided = False

    def after_epoch(self, module: Compilable, seconds: float, epochs_left: int) -> None:
        """seconds: of the training part of the epoch that ended. Frozen epochs are not measured."""
        if self._decided or module.backbone_frozen:
            return
        if not self._eager_s:
            self._eager_s = seconds
            self._start(module, epochs_left)
            return
        self._compiled_epochs += 1
        if self._compiled_epochs == 1:  # which includes compiling
            return
        self._decided = True
        change = f"{self._eager_s:.1f} s an epoch before, {seconds:.1f} s with it"
        if seconds < self._eager_s:
            note(f"torch.compile stays on: {change}.")
        else:
            module.use_eager()
            note(f"torch.compile is switched off again: {change}.")

    def _start(self, module: Compilable, epochs_left: int) -> None:
        left = f"{epochs_left} epochs of {self._eager_s:.1f} s are left"
        self._decided = not pays(self._eager_s, epochs_left)
        if self._decided:
            log.info("torch.compile is not used: %s, and compiling takes %.0f s", left, COMPILING_S)
        elif missing := _missing(module.device.type):
            self._decided = True
            note(f"torch.compile would pay ({left}), but needs {missing}.")
        else:
            run_uncompilable_code_as_it_is()
            module.use_compiled()
            note(f"torch.compile is used from the next epoch on: {left}.")


def _missing(device: str) -> str:
    """What torch.compile needs on this device and does not find; "" if nothing."""
    if device == "cuda":
        return "" if find_spec("triton") else "Triton"
    compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
    return "" if compiler else "a C++ compiler (g++)"
