"""One trial: its recipe, its training, its run."""

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


@dataclass(frozen=True, slots=True)
class Bench:
    """What every trial of a study works with. elsewhere: trains where this process does not itself."""

    study: Study
    dataset: Dataset
    tracker: Tracker
    runs: RunBook
    device: str
    elsewhere: Fitter | None = None


class Fitter(Protocol):
    """Trains `recipe`, with its files in `folder` at the end; takes and raises what `fit` does."""

    def __call__(
        self, bench: Bench, recipe: AnyRecipe, folder: Path, run: Run, trial: optuna.Trial | None
    ) -> TrainResult: ...


def run_trial(bench: Bench, claim: Claim) -> None:
    """Train the claimed trial, or go on with it, and tell the study how it ended.

    A training that fails ends its trial and nothing else. A user's mistake, Ctrl-C and a termination signal
    pass through with the run closed; the trial of an interrupted one stays open and is gone on with later, as
    does one that a full disk ended, of which nothing more can be recorded.
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
                f"the system ended its process {claim.deaths} times for want of memory before it finished "
                "another epoch; a smaller batch or image_size needs less"
            )
        result = fit(bench, recipe, claim.folder, run, trial)
    except TrialFailed as failure:
        _keep_left(run, claim.folder)
        bench.runs.failed(run, failure)
        trial.set_user_attr("failure", f"{failure.reason}: {failure}")
        study.optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    except DiskFull:  # once there is room it goes on from its checkpoint
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
    """Curves, arguments and images of a training that came to no end; not its checkpoints."""
    for file in sorted((folder / "training").rglob("*")):
        if file.suffix in (".csv", ".yaml", ".png", ".jpg") and file.is_file():
            run.log_artifact(file, "training")


def fit(bench: Bench, recipe: AnyRecipe, folder: Path, run: Run, trial: optuna.Trial | None) -> TrainResult:
    """Train `recipe` in `folder`, every epoch into `run`, and into `trial` where one may be pruned."""
    if bench.elsewhere is not None:
        return bench.elsewhere(bench, recipe, folder, run, trial)
    with bench.runs.watched(run):
        trainer = trainer_for(bench.study.request.spec.task)
        return trainer.fit(config_for(bench, recipe, folder), epoch_handler(bench, run, trial))


def epoch_handler(bench: Bench, run: Run, trial: optuna.Trial | None) -> OnEpoch:
    """What a trainer reports each epoch to: the record first, then the study's verdict."""
    request = bench.study.request
    reported = _reported(bench, trial)

    def on_epoch(report: EpochReport) -> Verdict:
        run.log_epoch(report.epoch, report.metrics)
        run.barrier()  # the checkpoint that follows must never be ahead of the record
        if trial is None:
            return Verdict.CONTINUE
        if report.epoch not in reported:
            trial.report(report.metrics[request.spec.objective], report.epoch)
        may_end = request.trials > 1 and not trial.user_attrs.get("recipe")  # no search ends below the recipe
        if may_end and trial.should_prune():
            trial.set_user_attr("pruned_at", report.epoch)
            return Verdict.STOP
        return Verdict.CONTINUE

    return on_epoch


def _reported(bench: Bench, trial: optuna.Trial | None) -> frozenset[int]:
    """Epochs that the study has of a trial that is gone on with; the first report of each stays."""
    if trial is None:
        return frozenset()
    return frozenset(bench.study.optuna_study.trials[trial.number].intermediate_values)


def config_for(bench: Bench, recipe: AnyRecipe, folder: Path) -> TrainConfig[AnyRecipe]:
    """What a trainer is given to train `recipe` in `folder`."""
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
