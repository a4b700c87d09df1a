"""Implementation of `mlops train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mlops.data import check_dataset
from mlops.data.faults import raise_errors
from mlops.errors import BadSetting, require
from mlops.machine.processors import prepare_environment
from mlops.search.context import opened, read_data
from mlops.search.engines.local import termination_as_interrupt, work, work_in_parallel
from mlops.search.final_fit import Finished, best_trial, finish_study
from mlops.search.outcome import StudyOutcome, TrialLine
from mlops.search.request import StudyRequest
from mlops.search.study import Study, identity_of
from mlops.search.study_plots import draw_study
from mlops.search.trial import Bench, Fitter
from mlops.terminal.messages import note
from mlops.training import trainer_for
from mlops.training.threads import TrainingThreads

if TYPE_CHECKING:
    from mlops.data.faults import Fault
    from mlops.tracking import Run, SyncReport

_SPINNING = (
    "torch was imported before this call, so its threads spin while they wait, which is slow beside "
    "other work; `export GOMP_SPINCOUNT=20000` before Python starts prevents it"
)
_LAST_DELIVERY_S = 60.0
_LAST_WORD_S = 10.0  # a user waits for the prompt


def run_study(request: StudyRequest) -> StudyOutcome:
    """Check the data, search, train the best, test it, register it.

    Another call with the same request resumes an interrupted one. Raises UserError for errors that the user
    can fix, before anything is written to the store, and TrialFailed if no trial completed.
    """
    if not prepare_environment():
        note(_SPINNING)
    threads = TrainingThreads()
    trainer = trainer_for(request.spec.task)
    _refuse_repetition(request)
    if request.engine == "ray":
        require("--engine ray", "ray")
    faults = _checked(request)
    dataset = read_data(request)
    device = request.device if request.engine == "local" else "auto"  # a node's device need not exist here
    trainer.check(request.spec.recipe, device=device, cache=request.cache)
    study = Study(request, identity_of(request, dataset.identity))
    with _engine(request) as elsewhere, study.held(), opened(study, dataset, threads, device) as bench:
        bench = replace(bench, elsewhere=elsewhere)
        run = bench.runs.study_run()
        bench.runs.data_faults(run, faults, bench.study.folder)
        try:
            with termination_as_interrupt():
                finished = _searched(bench)
                _close(bench, run, finished)
        except KeyboardInterrupt:
            _broken_off(bench, run, "KILLED")
            raise
        except Exception:
            _broken_off(bench, run, "FAILED")
            raise
        return _outcome(bench, run, finished, bench.tracker.sync(_LAST_DELIVERY_S))


@contextmanager
def _engine(request: StudyRequest) -> Iterator[Fitter | None]:
    """The fitter that trains instead of this process; None if this process trains."""
    if request.engine == "local":
        yield None
        return
    from mlops.search.engines.on_ray import cluster

    with cluster(request) as fitter:
        yield fitter


def _refuse_repetition(request: StudyRequest) -> None:
    """Raise BadSetting for several trials without a search space, as all would be the same training."""
    if request.trials > 1 and not request.spec.space:
        allowed = "1, as nothing is searched; add a range with --set space.KEY=LOW..HIGH"
        raise BadSetting("the command line", "--trials", request.trials, allowed)


def _checked(request: StudyRequest) -> list[Fault]:
    """The faults of all data. Raises DataFault if one of them is an error."""
    faults = check_dataset(
        request.data,
        request.spec.task,
        cache=request.cache,
        seed=request.seed,
        image_label=request.image_label,
    )
    raise_errors(faults, f"{' '.join(request.data)}{_asked(request)}")
    return faults


def _asked(request: StudyRequest) -> str:
    return f" --image-label {request.image_label}" if request.spec.task == "joint" else ""


def _searched(bench: Bench) -> Finished:
    study, request = bench.study, bench.study.request
    study.ensure_recipe_trial()
    forgiven = study.failures()
    if request.engine == "ray":
        from mlops.search.engines.on_ray import work_on_ray

        work_on_ray(bench, request.trials, forgiven)
    elif request.parallel > 1 and request.trials > 1:
        work_in_parallel(bench, request.trials, forgiven)
    else:
        work(bench, request.trials, forgiven)
    return finish_study(bench)


def _broken_off(bench: Bench, run: Run, status: Literal["KILLED", "FAILED"]) -> None:
    """Record how the study ended, and deliver it if the store answers."""
    run.finish(status)
    bench.tracker.sync(_LAST_WORD_S)


def _close(bench: Bench, run: Run, finished: Finished) -> None:
    """Log the study's summary, plots and table to the parent run."""
    best = best_trial(bench.study.optuna_study)
    if best is not None and best.value is not None:
        run.log_summary(
            f"best of trial {best.number}", {f"best/{bench.study.request.spec.objective}": best.value}
        )
        run.set_tags({"mlops.best_trial": str(best.number)})
    run.log_summary(f"test of trial {finished.best_trial}", finished.test)
    for file in draw_study(bench.study.optuna_study, bench.study.folder / "figures"):
        run.log_artifact(file, "study")
    run.finish("FINISHED")


def _outcome(bench: Bench, run: Run, finished: Finished, delivery: SyncReport) -> StudyOutcome:
    study, request = bench.study, bench.study.request
    best_run = bench.runs.known(finished.run_key)
    return StudyOutcome(
        study=study.name,
        system=request.spec.name,
        objective=request.spec.objective,
        trials=trial_lines(bench),
        best_trial=finished.best_trial,
        best_params=study.optuna_study.trials[finished.best_trial].params,
        test_split=finished.split,
        test=finished.test,
        tracking_uri=request.tracking_uri,
        run_id=run.mlflow_id() or "",
        best_run_id=best_run.mlflow_id() or "",
        version=best_run.registered_version(),
        left=delivery.left,
        left_because=delivery.error or "",
        demo=bench.dataset.identity.demo,
    )


def trial_lines(bench: Bench) -> tuple[TrialLine, ...]:
    """Every trial of the study that was started."""
    import optuna

    words = {
        optuna.trial.TrialState.COMPLETE: "complete",
        optuna.trial.TrialState.PRUNED: "pruned",
        optuna.trial.TrialState.FAIL: "failed",
        optuna.trial.TrialState.RUNNING: "running",
    }
    return tuple(
        TrialLine(
            number=trial.number,
            state=words[trial.state],
            value=trial.value
            if trial.value is not None
            else max(trial.intermediate_values.values(), default=None),
            epochs=max(trial.intermediate_values, default=None),
            params=trial.params,
            says=str(trial.user_attrs.get("failure", "")),
        )
        for trial in bench.study.optuna_study.get_trials(deepcopy=False)
        if trial.state in words
    )
