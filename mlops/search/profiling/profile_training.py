"""Implementation of `mlops train --profile`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlops.machine.processors import most_threads
from mlops.search.context import read_data
from mlops.search.profiling.advice import (
    RECIPE,
    Advice,
    MeasuredSpeed,
    SettingsVariant,
    advise,
    together,
    variants_of,
    winners,
)
from mlops.search.request import StudyRequest
from mlops.training import trainer_for
from mlops.training.device import find_device

PROBE = "mlops.search.profiling.probe"
_WANTED_S = {"cuda": 6.0}  # of training, for one measurement
_WANTED_ELSEWHERE_S = 4.0
_LEAST_S = 45.0  # minimum time for the recipe itself, whatever the budget

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """images: of the training split."""

    system: str
    device: str
    pictures: int
    measured: tuple[MeasuredSpeed, ...]
    advice: Advice


def profile_training(request: StudyRequest, budget_s: float, say: Say = lambda _: None) -> Profile:
    """Measure the recipe and its variants one after the other, for at most `budget_s` seconds.

    Changes that are faster alone are measured together at the end. Nothing is recorded, and nothing is left
    on disk except digests of the data in an existing cache. say: called with the next variant.
    Raises UserError for errors that the user can fix.
    """
    device = find_device(request.device)
    with tempfile.TemporaryDirectory(prefix="mlops-profile-") as folder:
        home = request.home if request.home.is_dir() else Path(folder) / "home"
        request = request.model_copy(update={"home": home, "progress": False})
        say("reading the data")
        dataset = read_data(request)
        pictures = len(dataset.splits["train"])
        recipe = request.spec.recipe.model_copy(update={"weights": "none"})
        trainer_for(request.spec.task).check(recipe, device=request.device, cache=Path(folder) / "cache")
        file = Path(folder) / "request.json"
        file.write_text(request.model_dump_json(), encoding="utf-8")
        measured = _measure_all(request, device, pictures, Path(folder), budget_s, say)
    return Profile(request.spec.name, device, pictures, measured, advise(measured))


def _measure_all(
    request: StudyRequest, device: str, pictures: int, folder: Path, budget_s: float, say: Say
) -> tuple[MeasuredSpeed, ...]:
    ends = time.monotonic() + budget_s
    planned = list(variants_of(request.spec.recipe, device, most_threads()))
    wanted_s = _WANTED_S.get(device.partition(":")[0], _WANTED_ELSEWHERE_S)
    measured: list[MeasuredSpeed] = []

    def take(variant: SettingsVariant) -> None:
        left_s = ends - time.monotonic()
        limit_s = max(left_s, _LEAST_S) if variant == RECIPE else left_s
        if pictures < 4 * int(str(variant.changes.get("batch", request.spec.recipe.batch))):
            says = "not measured: the data have fewer than four such batches"
        elif limit_s <= 0:
            says = f"not measured: the budget of {budget_s:.0f} s is used up (--profile-budget)"
        else:
            say(f"{len(measured) + 1}: {' '.join(variant.settings) or 'recipe'}")
            measured.append(measure(variant, folder, limit_s, wanted_s))
            return
        measured.append(MeasuredSpeed(variant, says=says))

    for variant in planned:
        take(variant)
    both = together(winners(measured))
    if both is not None:
        take(both)
    return tuple(measured)


def measure(variant: SettingsVariant, folder: Path, limit_s: float, wanted_s: float) -> MeasuredSpeed:
    """Run one variant in a separate process. folder: contains `request.json`; the variant's files are
    deleted.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="variant-") as own:
        given = (folder / "request.json", json.dumps(dict(variant.changes)), own, os.getpid(), wanted_s)
        command = [sys.executable, "-P", "-m", PROBE, *map(str, given)]
        with _group(command) as process:
            try:
                out, err = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                return MeasuredSpeed(variant, says=f"not measured: takes longer than {limit_s:.0f} s")
    return _understood(variant, process.returncode, out, err)


@contextmanager
def _group(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process; at the end of the block it and its child processes are terminated."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _understood(variant: SettingsVariant, code: int, out: str, err: str) -> MeasuredSpeed:
    try:
        said = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        if code == -signal.SIGKILL:
            return MeasuredSpeed(variant, says="failed: killed by the system, often for lack of memory")
        last = [line for line in err.splitlines() if line.strip()]
        return MeasuredSpeed(
            variant, says=f"failed: {last[-1].strip()[:120] if last else f'exit code {code}'}"
        )
    if "failed" in said:
        return MeasuredSpeed(variant, says=f"failed: {str(said['failed'])[:120]}")
    return MeasuredSpeed(variant, float(said["images_per_s"]), int(said["memory_bytes"]))
