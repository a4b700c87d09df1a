"""The local engines: this process runs all trials, or N worker processes share the study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from mlops.errors import Terminated, TrainingCrashed, UserError
from mlops.machine.processors import environment_of_part
from mlops.search.optuna_internals import open_again
from mlops.search.trial import Bench, run_trial
from mlops.store.credentials import environment_with_login

_POLL_S = 0.5
WORKER = "mlops.search.engines.worker"


def work_in_parallel(bench: Bench, budget: int, forgiven: int) -> None:
    """Start `request.parallel` workers and wait until the study has `budget` trials.

    Raises TrainingCrashed, or UserError for errors that the user can fix, if a worker exits with an error
    (its message was printed on the terminal).
    """
    request = bench.study.request
    file = bench.study.folder / "request.json"
    file.unlink(missing_ok=True)
    file.touch(0o600)
    file.write_text(request.model_dump_json(), encoding="utf-8")
    threads = environment_of_part(request.parallel)
    start = partial(_start, file, request.tracking_uri, threads, budget, forgiven)
    running = {number: start(number) for number in range(1, request.parallel + 1)}
    next_number = request.parallel + 1
    left_with = fruitless = 0
    try:
        while running:
            time.sleep(_POLL_S)
            for number, process in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[number]
                if code > 0:
                    left_with = code
                if code >= 0:
                    continue
                # killed by a signal: only its trial fails, and a new worker replaces it
                fruitless += not _fail_trial_of(bench, process.pid, -code)
                if fruitless > request.parallel:  # the trials are not the cause
                    raise TrainingCrashed(f"workers are killed by signal {-code} before they start a trial")
                running[next_number] = start(next_number)
                next_number += 1
    except BaseException:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for process in running.values():
            process.wait()
        raise
    if left_with:
        kind = UserError if left_with == UserError.exit_code else TrainingCrashed
        raise kind(f"a worker of study {bench.study.name} failed; see its message above")


def _start(
    file: Path, store: str, threads: dict[str, str], budget: int, forgiven: int, number: int
) -> subprocess.Popen[bytes]:
    """Start a worker. It gets the store's login by its environment, so that no file contains it."""
    given = (file, os.getpid(), number, budget, forgiven)
    command = [sys.executable, "-P", "-m", WORKER, *map(str, given)]
    environment = environment_with_login(store) | threads
    # stdout=2: our own has only the result
    return subprocess.Popen(command, start_new_session=True, stdout=2, env=environment)


def _fail_trial_of(bench: Bench, pid: int, signal_number: int) -> bool:
    """Close the trial of a dead worker, with the reason on its run; False if it had none."""
    import optuna

    study = bench.study
    reason = f"its worker was ended by signal {signal_number}"
    if signal_number == signal.SIGKILL:
        reason += " (often for lack of memory)"
    for frozen in study.optuna_study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        if frozen.user_attrs.get("pid") != pid:
            continue
        lock = study.trial_lock(frozen.number)
        if not lock.take():
            continue
        try:
            run = bench.runs.begun_trial(frozen.number)
            if run is not None:
                bench.runs.failed(run, TrainingCrashed(reason))
            trial = open_again(study.optuna_study, frozen)
            trial.set_user_attr("failure", f"crashed: {reason}")
            study.optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
        finally:
            lock.release()
        return True
    return False


def work(bench: Bench, budget: int, forgiven: int, stopped: Callable[[], bool] = lambda: False) -> None:
    """Run trials until the study has `budget` of them (see `Study.claim`) or `stopped` returns True."""
    while not stopped() and (claim := bench.study.claim(budget, forgiven)) is not None:
        try:
            run_trial(bench, claim)
        finally:
            claim.lock.release()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C: end cleanly and mark runs as KILLED."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    owner, report = os.getpid(), sys.unraisablehook
    again: list[threading.Timer] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child, which has no run to end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated

    def send_again(ignored: sys.UnraisableHookArgs) -> None:
        """Python drops an interrupt that arrives in a destructor or in a weak reference's callback."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            report(ignored)
            return
        number = signal.SIGTERM if issubclass(ignored.exc_type, Terminated) else signal.SIGINT
        again.append(threading.Timer(0.05, os.kill, (os.getpid(), number)))
        again[-1].start()

    before = signal.signal(signal.SIGTERM, interrupt)
    sys.unraisablehook = send_again
    try:
        yield
    finally:
        for timer in again:  # the training has ended: a signal now would end what is left to record
            timer.cancel()
        sys.unraisablehook = report
        signal.signal(signal.SIGTERM, before)
