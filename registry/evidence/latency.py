"""Latency of a version's ONNX file for one image, on this machine's CPU."""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.machine.processors import processors
from mlops.prediction.onnx_sessions import open_session
from mlops.store.model_digests import digests
from registry.evidence.gated_metrics import write_latency
from registry.evidence.version_files import onnx_file, version_files
from registry.gates.evidence_values import Latency
from registry.policies.recorded_files import refuse_changed

if TYPE_CHECKING:
    from mlflow import MlflowClient

WARM_UP, CALLS = 10, 100
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


def measure_version(
    client: MlflowClient, model: str, version: str, *, calls: int = CALLS, threads: int = 0
) -> Latency:
    """Time the version's ONNX file and store the result as its tag `mlops.latency`.

    Raises UnknownVersion if its files are missing or the ONNX file cannot be run, GateRefused if they differ
    from those in the ledger.
    """
    with version_files(client, model, version) as folder:
        files = digests(folder)
        refuse_changed(client, model, version, files, "measured")
        file = onnx_file(folder, files, f"{model}/{version}")
        latency = measure_onnx(file, calls=calls, threads=threads)
    write_latency(client, model, version, latency)
    return latency


def measure_onnx(file: Path, *, calls: int = CALLS, threads: int = 0) -> Latency:
    """p50 and p95 of `calls` runs with one random image, after a warm-up; without decoding.

    threads: ONNX Runtime's intra-op threads; 0: see `own_threads`.
    """
    import numpy as np

    try:
        session = open_session(file, threads)
    except Exception as error:  # onnxruntime has its own exception class for each status
        raise UnknownVersion(f"{file.name} cannot be run: {str(error).splitlines()[0]}") from error
    entry = session.get_inputs()[0]
    shape = [1 if index == 0 else side for index, side in enumerate(entry.shape)]
    if any(not isinstance(side, int) for side in shape) or entry.type not in _DTYPES:
        raise UnknownVersion(
            f"{file.name} cannot be timed: its input is {entry.type} {entry.shape}; "
            f"expected {', '.join(_DTYPES)} with only the batch size dynamic"
        )
    picture = {entry.name: np.random.default_rng(0).random(shape).astype(_DTYPES[entry.type])}
    times_ms = []
    for _ in range(WARM_UP):
        session.run(None, picture)
    for _ in range(calls):
        started = time.perf_counter()
        session.run(None, picture)
        times_ms.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(times_ms, (50, 95))
    return Latency(
        device=device_name(),
        threads=threads,
        calls=calls,
        p50_ms=round(float(p50), 3),
        p95_ms=round(float(p95), 3),
        size_bytes=file.stat().st_size,
        onnx_digest=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def device_name() -> str:
    """The CPU and the cores that this process may use: 'Intel(R) Xeon(R) Platinum 8481C, 2 cores, x86_64', or
    '..., 1 core by quota of 2, x86_64' in a container.
    """
    given = processors()
    cores = f"{given.threads} {'core' if given.threads == 1 else 'cores'}"
    if given.quota is not None:
        cores += f" by quota of {given.usable}"
    return f"{_processor()}, {cores}, {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "CPU"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "CPU")
