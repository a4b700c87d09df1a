"""The Ray engine: runs the trials of a study in parallel on the nodes of a Ray cluster.

This process owns the study, the outbox and the runs. Its threads claim trials like the worker processes of
the local engine, and each waits for the node that trains its trial. See `ray_fit`.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlops.errors import BadSetting, require
from mlops.machine.processors import remove_own_threads
from mlops.search.engines.local import work
from mlops.search.run_book import RunBook
from mlops.search.study import Study

if TYPE_CHECKING:
    from mlops.search.engines.ray_fit import RayFitter
    from mlops.search.request import StudyRequest
    from mlops.search.trial import Bench

_KNOCK_S, _POLL_S = 10.0, 0.2
_WITH_CLUSTER = "the address of a running Ray cluster, such as ray://host:10001 or host:6379"


@contextmanager
def cluster(request: StudyRequest) -> Iterator[RayFitter]:
    """Connect to the cluster at `request.address`, or to one started here for the duration of the block.

    Raises BadSetting if no cluster answers at the address, or if no node has the device.
    """
    require("--engine ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    from mlops.search.engines.ray_fit import RayFitter
    from mlops.search.engines.ray_messages import mailbox_here

    try:
        if request.address:
            _knock(request.address)
        else:
            remove_own_threads()  # Ray sets a number for each actor where there is none
        ray.init(
            address=request.address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=None if request.address else False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadSetting(
            "the command line", "--address", request.address, f"{_WITH_CLUSTER} ({reason})"
        ) from error
    try:
        with redirect_stdout(sys.stderr):  # Ray prints about nodes; our stdout has only the result
            cpus, gpus = _share(request, ray.nodes())
            yield RayFitter(mailbox_here(), cpus, gpus)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nothing listens, as Ray would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()


def _share(request: StudyRequest, nodes: list[dict[str, Any]]) -> tuple[int, float]:
    """Processors and GPUs of one trial: a GPU if there is any, else an equal part of a node."""
    able = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not able:
        raise BadSetting(
            "the command line", "--address", request.address, "a cluster with processors to train on"
        )
    gpus = sum(each.get("GPU", 0) for each in able)
    if request.device.startswith("cuda") and not gpus:
        raise BadSetting("the command line", "--device", request.device, "auto or cpu: no node has a GPU")
    at_once = min(request.parallel, request.trials)
    if gpus and request.device != "cpu":
        with_gpu = [each for each in able if each.get("GPU", 0)]
        return max(1, int(min(each["CPU"] / each["GPU"] for each in with_gpu))), 1.0
    a_node = -(-at_once // len(able))
    return max(1, int(min(each["CPU"] for each in able)) // a_node), 0.0


def work_on_ray(bench: Bench, budget: int, forgiven: int) -> None:
    """Run trials until the study has `budget` of them, `request.parallel` at a time; see `cluster`.

    Ctrl-C ends every training and closes its run as KILLED; a UserError in one of them ends them all.
    """
    from mlops.search.engines.ray_fit import RayFitter

    request, fitter = bench.study.request, bench.elsewhere
    assert isinstance(fitter, RayFitter)
    failures: list[BaseException] = []

    def take_trials() -> None:
        study = Study(request, bench.study.identity)  # Optuna's study is not shared between threads
        study.open()
        own = replace(bench, study=study, runs=RunBook(bench.tracker, study, bench.dataset))
        try:
            work(own, budget, forgiven, fitter.stop.is_set)
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            failures.append(error)
            fitter.stop.set()

    threads = [
        threading.Thread(target=take_trials, name=f"trials on Ray {number}")
        for number in range(min(request.parallel, budget))
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(_POLL_S)  # `join` would block Ctrl-C
    except KeyboardInterrupt:
        fitter.stop.set()
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise next((e for e in failures if not isinstance(e, KeyboardInterrupt)), failures[0])
