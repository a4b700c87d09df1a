"""One trial: recipe, training and run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlops.errors import DiskFull, OutOfMemory, TrialFailed, UserError
from mlops.search.oom import MOST
from mlops.search.study import Claim, Study
from mlops.search.suggest import suggest, with_values
from mlops.systems.recipe import AnyRecipe
from mlops.training import trainer_for
from mlops.training.protocol import EpochReport, OnEpoch, TrainConfig, TrainResult, Verdict

if TYPE_CHECKING:
    import optuna

    from mlops.data.dataset import Dataset
    from mlops.search.run_book import RunBook
    from mlops.tracking import Run, Tracker
    from mlops.training.threads import TrainingThreads


@dataclass(frozen=True, slots=True)
class Bench:
    """Objects shared by all trials of a study.

    threads: chooses torch's threads in this process. elsewhere: trains instead of this process, if set.
    """

    study: Study
    dataset: Dataset
    tracker: Tracker
    runs: RunBook
    device: str
    threads: TrainingThreads
    elsewhere: Fitter | None = None


class Fitter(Protocol):
    """Trains `recipe`; its files are in `folder` at the end. Arguments and errors as in `fit`."""

    def __call__(
        self, bench: Bench, recipe: AnyRecipe, folder: Path, run: Run, trial: optuna.Trial | None
    ) -> TrainResult: ...


def run_trial(bench: Bench, claim: Claim) -> None:
    """Train or resume the claimed trial, and report to the study how it ended.

    A failed training ends only its trial. UserError, Ctrl-C and SIGTERM are re-raised after closing the run;
    the trial of an interrupted training remains open and is resumed later, as is one ended by a full disk,
    for which nothing more can be recorded.
    """
    import optuna

    study, trial = bench.study, claim.trial
    spec = study.request.spec
    chosen = suggest(trial, spec.space)
    recipe = with_values(spec.recipe, chosen)
    if "epochs" not in chosen:
        recipe = with_values(recipe, {"epochs": study.request.trial_epochs})
    run = bench.runs.trial_run(trial.number, recipe, chosen)
    try:
        if claim.deaths >= MOST:
            raise OutOfMemory(
                f"the system killed its process {claim.deaths} times for lack of memory before it finished "
                "another epoch; use a smaller batch or image_size"
            )
        result = fit(bench, recipe, claim.folder, run, trial)
    except TrialFailed as failure:
        _keep_left(run, claim.folder)
        bench.runs.failed(run, failure)
        trial.set_user_attr("failure", f"{failure.reason}: {failure}")
        study.optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    except DiskFull:  # resumes from its checkpoint when there is space
        raise
    except UserError as mistake:
        bench.runs.failed(run, mistake)
        trial.set_user_attr("failure", str(mistake))
        study.optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    except KeyboardInterrupt:
        _keep_left(run, claim.folder)
        run.finish("KILLED")
        raise
    except Exception:
        run.finish("FAILED")
        raise
    bench.runs.trained(run, result)
    pruned = trial.user_attrs.get("pruned_at") == result.epochs_done
    trial.set_user_attr("best_weights", str(result.best_weights))
    trial.set_user_attr("best_epoch", result.best_epoch)
    trial.set_user_attr("epochs_done", result.epochs_done)
    run.set_tags({"mlops.pruned": "true"} if pruned else {})
    run.finish("FINISHED")
    if pruned:
        study.optuna_study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.optuna_study.tell(trial, result.best_metrics[spec.objective])


def _keep_left(run: Run, folder: Path) -> None:
    """Log curves, arguments and images of an unfinished training, but not its checkpoints."""
    for file in sorted((folder / "training").rglob("*")):
        if file.suffix in (".csv", ".yaml", ".png", ".jpg") and file.is_file():
            run.log_artifact(file, "training")


def fit(bench: Bench, recipe: AnyRecipe, folder: Path, run: Run, trial: optuna.Trial | None) -> TrainResult:
    """Train `recipe` in `folder`; report every epoch to `run`, and to `trial` for pruning, if given."""
    if bench.elsewhere is not None:
        return bench.elsewhere(bench, recipe, folder, run, trial)
    with bench.runs.watched(run):
        trainer = trainer_for(bench.study.request.spec.task)
        on_epoch = bench.threads.after_each_epoch(epoch_handler(bench, run, trial))
        bench.threads.choose()
        return trainer.fit(config_for(bench, recipe, folder), on_epoch)


def epoch_handler(bench: Bench, run: Run, trial: optuna.Trial | None) -> OnEpoch:
    """The callback of a trainer: records each epoch, then asks the study for the verdict."""
    request = bench.study.request
    reported = _reported(bench, trial)

    def on_epoch(report: EpochReport) -> Verdict:
        run.log_epoch(report.epoch, report.metrics)
        run.barrier()  # the following checkpoint must never be ahead of the record
        if trial is None:
            return Verdict.CONTINUE
        if report.epoch not in reported:
            trial.report(report.metrics[request.spec.objective], report.epoch)
        may_end = request.trials > 1 and not trial.user_attrs.get("recipe")  # which is never pruned
        if may_end and trial.should_prune():
            trial.set_user_attr("pruned_at", report.epoch)
            return Verdict.STOP
        return Verdict.CONTINUE

    return on_epoch


def _reported(bench: Bench, trial: optuna.Trial | None) -> frozenset[int]:
    """Epochs of a resumed trial that the study already has; the first report of each is kept."""
    if trial is None:
        return frozenset()
    return frozenset(bench.study.optuna_study.trials[trial.number].intermediate_values)


def config_for(bench: Bench, recipe: AnyRecipe, folder: Path) -> TrainConfig[AnyRecipe]:
    """The trainer's configuration for `recipe` in `folder`."""
    request = bench.study.request
    return TrainConfig(
        recipe=recipe,
        dataset=bench.dataset,
        out_dir=folder,
        device=bench.device,
        seed=request.seed,
        progress=request.progress,
        cache=request.cache,
    )
