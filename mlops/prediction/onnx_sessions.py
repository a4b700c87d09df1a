"""ONNX Runtime's sessions on the CPU, with as many threads as the machine or the container gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.machine.processors import most_threads, processors

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime


def open_session(model: Path | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """threads: intra-op threads; 0: `own_threads()`. Raises onnxruntime's own exceptions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or own_threads()
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def own_threads() -> int:
    """0, ONNX Runtime's default of one for each core, on a machine without limits: it knows neither the
    affinity nor the quota of a process.
    """
    most = most_threads()
    return most if most < processors().machine else 0
