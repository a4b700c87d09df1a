"""After the last trial: train the best with all epochs, test it on the held-out split, register it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import DetectionDataset, SplitName
from mlops.errors import TrainingCrashed
from mlops.files.atomic import write_durably
from mlops.files.digests import sha256_of
from mlops.prediction.mlflow_model import ServingModel, model_folder
from mlops.search.run_book import first_weights_tag
from mlops.search.suggest import with_values
from mlops.search.trial import Bench, config_for, fit
from mlops.store.identity import TRAINED_BY_TAG, me
from mlops.systems import recipe_digest
from mlops.systems.recipe import AnyRecipe
from mlops.systems.spec import SystemSpec
from mlops.tracking.environment import code_state
from mlops.training import trainer_for
from mlops.training.protocol import TestResult

if TYPE_CHECKING:
    import optuna

    from mlops.data.dataset import Dataset
    from mlops.tracking import Run


@dataclass(frozen=True, slots=True)
class Finished:
    """The best model of a study with its test metrics. run_key: the run that trained it."""

    best_trial: int
    registered: bool
    run_key: str
    split: SplitName
    test: Mapping[str, float]


def finish_study(bench: Bench) -> Finished:
    """Test, log and (if requested) register the study's best model.

    This is done once for each best trial: another call without new trials returns the recorded result, and a
    model that was not registered (--no-register) is registered by a call without this option.
    Raises TrainingCrashed if no trial completed.
    """
    study, request = bench.study, bench.study.request
    best = best_trial(study.optuna_study)
    if best is None:
        reasons = [
            str(trial.user_attrs.get("failure", "it was pruned")) for trial in study.optuna_study.trials
        ]
        raise TrainingCrashed(f"no trial of study {study.name} completed; the last one: {reasons[-1]}")
    record = study.folder / "finished.json"
    done = _read(record)
    if done is not None and done.best_trial == best.number and done.registered >= request.register_version:
        return done
    recipe = with_values(request.spec.recipe, best.params)
    run, folder = _best_run(bench, best, recipe)
    with bench.runs.closed(run):
        weights = _best_weights(bench, best, recipe, folder, run)
        config = config_for(bench, recipe, folder)
        split: SplitName = "test" if bench.dataset.splits.get("test") else "val"
        trainer = trainer_for(request.spec.task)
        test = trainer.test(config, weights, split)
        bench.runs.tested(run, test)
        serving = trainer.serving_model(config, weights)
        run.log_model(
            model_folder(serving, folder),
            "model",
            register_as=request.spec.name if request.register_version else None,
            version_tags=version_tags(request.spec, recipe, bench.dataset, serving, weights, test),
        )
    run.finish("FINISHED")
    finished = Finished(best.number, request.register_version, run.key, split, dict(test.metrics))
    write_durably(record, json.dumps(asdict(finished)).encode())
    return finished


def best_trial(study: optuna.Study) -> optuna.trial.FrozenTrial | None:
    """The completed trial with the highest objective."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return max(complete, key=lambda trial: trial.value or 0.0, default=None)


def _trials_are_short(bench: Bench) -> bool:
    request = bench.study.request
    return request.trial_epochs < request.spec.recipe.epochs


def _best_run(bench: Bench, best: optuna.trial.FrozenTrial, recipe: AnyRecipe) -> tuple[Run, Path]:
    """The run and folder of the final model: the best trial's, or those of its training with all epochs."""
    study = bench.study
    if not _trials_are_short(bench):
        return bench.runs.trial_run(best.number, recipe, best.params), study.trial_folder(best.number)
    folder = study.folder / f"final-{best.number:03d}"
    folder.mkdir(exist_ok=True)
    return bench.runs.final_run(recipe, best.number), folder


def _best_weights(
    bench: Bench, best: optuna.trial.FrozenTrial, recipe: AnyRecipe, folder: Path, run: Run
) -> Path:
    """The best trial's weights, trained again with all epochs if trials are shorter."""
    if not _trials_are_short(bench):
        return Path(best.user_attrs["best_weights"])
    result = fit(bench, recipe, folder, run, trial=None)
    bench.runs.trained(run, result)
    return result.best_weights


def _read(record: Path) -> Finished | None:
    try:
        return Finished(**json.loads(record.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def version_tags(
    spec: SystemSpec,
    recipe: AnyRecipe,
    dataset: Dataset,
    serving: ServingModel,
    weights: Path,
    test: TestResult,
) -> dict[str, str]:
    """The tags of a version: origin, digest of the weights, and main held-out metrics."""
    code, identity = code_state(), dataset.identity
    return {
        "mlops.system": spec.name,
        "mlops.dataset_digest": identity.digest,
        "mlops.dataset_version": identity.version,
        "mlops.demo": str(identity.demo).lower(),
        "mlops.recipe_digest": recipe_digest(recipe),
        "mlops.code_commit": code.commit,
        "mlops.code_dirty": str(code.dirty).lower(),
        "mlops.licence": spec.licence,
        "mlops.class_map": json.dumps(dict(enumerate(dataset.classes))),
        **_image_classes(dataset),
        "mlops.preprocessing": json.dumps(serving.preprocessing),
        "mlops.weights_digest": sha256_of(weights),
        TRAINED_BY_TAG: me(),
        **first_weights_tag(recipe),
        "mlops.onnx_digest": sha256_of(serving.onnx),
        **{name: f"{value:.6g}" for name, value in sorted(test.metrics.items()) if name.count("/") == 1},
    }


def _image_classes(dataset: Dataset) -> dict[str, str]:
    """The image classes of a joint data set."""
    named = dataset.image_classes if isinstance(dataset, DetectionDataset) else ()
    return {"mlops.image_class_map": json.dumps(dict(enumerate(named)))} if named else {}
