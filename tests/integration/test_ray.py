"""Trials on a Ray cluster of two nodes: a node that dies costs no epoch of any curve and no other trial."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from tests.command import REPOSITORY, Shell, tiny
from tests.tracking.stores import curve, runs_of

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
EPOCHS = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without processors, where the study's owner connects, and two nodes with one each."""
    given = {
        "MLOPS_RAY_SCRATCH": str(tmp_path_factory.mktemp("scratch")),
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    before = dict(os.environ)
    os.environ.update(given)
    try:
        started = three_nodes()
        yield started
        started.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)


def three_nodes(tries: int = 4) -> Any:
    """Ray gives each node 30 s to start, which on a busy machine is not enough every time."""
    from ray.cluster_utils import Cluster

    started = Cluster()
    try:
        started.add_node(num_cpus=0, include_dashboard=False, object_store_memory=80 << 20)
        for _ in range(2):
            started.add_node(num_cpus=1, object_store_memory=80 << 20)
        started.wait_for_nodes(timeout=120)
    except Exception:
        started.shutdown()
        if tries == 1:
            raise
        return three_nodes(tries - 1)
    return started


def study_of(shell: Shell) -> optuna.Study | None:
    journals = list((shell.folder / ".mlops" / "studies").glob("*/journal.log"))
    if not journals:
        return None
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(journals[0])))
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage) if names else None


def wait_for_epoch(shell: Shell, process: subprocess.Popen[str], epoch: int) -> dict[int, str]:
    """Until two trials have each reported `epoch`; gives the node of each."""
    while process.poll() is None:
        study = study_of(shell)
        trials = study.trials if study is not None else []
        begun = {
            t.number: t.user_attrs["node"] for t in trials if max(t.intermediate_values, default=0) >= epoch
        }
        if len(begun) == 2:
            return begun
        time.sleep(0.3)
    raise AssertionError(process.communicate()[1])


def command(cluster: Any, data: Path, *more: str) -> list[str]:
    space = ("--set", "space=none", "--set", "space.lr=0.001..0.01")
    where = ("--engine", "ray", "--address", cluster.address, "--parallel", "2", "--trials", "2")
    return ["train", "--data", str(data), *tiny(f"epochs={EPOCHS}", "patience=0"), *space, *where, *more]


def test_a_node_killed_in_the_middle_costs_no_epoch_and_no_other_trial(
    cluster: Any, tmp_path: Path, tiny_cells: Path
) -> None:
    shell = Shell(tmp_path)
    process = shell.start(
        *command(cluster, tiny_cells, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    nodes = wait_for_epoch(shell, process, 2)
    assert len(set(nodes.values())) == 2, "both trials went to one node"
    doomed = next(node for node in cluster.list_all_nodes() if node.node_id == nodes[1])
    cluster.remove_node(doomed, allow_graceful=False)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    outcome = json.loads(out)
    assert [trial["state"] for trial in outcome["trials"]] == ["complete", "complete"] and outcome[
        "version"
    ] == 1
    assert "; retrying" in err
    trials = {
        run.data.tags["mlops.trial"]: run
        for run in runs_of(shell.store, "blood-cell-classifier")
        if "mlops.trial" in run.data.tags
    }
    for run in trials.values():
        steps = [step for step, _ in curve(shell.store, run.info.run_id, "val/macro_f1")]
        assert steps == list(range(1, EPOCHS + 1))
        assert run.info.status == "FINISHED" and run.data.tags["mlops.node"]
        assert "system/cpu_utilization_percentage" in run.data.metrics
    study = study_of(shell)
    assert study is not None
    assert study.trials[0].user_attrs["node"] == nodes[0] == study.trials[1].user_attrs["node"]


def test_ctrl_c_closes_the_runs_as_killed(cluster: Any, tmp_path: Path, tiny_cells: Path) -> None:
    shell = Shell(tmp_path)
    long = command(
        cluster, tiny_cells, "--set", "epochs=500", "--set", "search.trial_epochs=none", "--parallel", "1"
    )
    process = shell.start(*long, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None:
        study = study_of(shell)
        if study is not None and any(trial.intermediate_values for trial in study.trials):
            break
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130 and "Traceback" not in err, err
    shell.succeed("sync")
    assert {run.info.status for run in runs_of(shell.store, "blood-cell-classifier")} == {"KILLED"}


def test_an_address_without_a_cluster_is_named(tmp_path: Path, tiny_cells: Path) -> None:
    given = ["train", "--data", str(tiny_cells), *tiny(), "--engine", "ray", "--address", "127.0.0.1:1"]
    answer = Shell(tmp_path).run(*given)
    assert answer.returncode == 2 and "--address is '127.0.0.1:1'" in answer.stderr
    assert "Traceback" not in answer.stderr
