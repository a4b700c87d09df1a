"""`DetectionTrainer`: the trainer protocol for boxes, with Ultralytics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops.prediction.mlflow_model import ServingModel
from mlops.training.detection.fitting import Job, boxed, fit
from mlops.training.detection.ultralytics_library import keeping_threads, quiet, settle
from mlops.training.protocol import OnEpoch, TestResult, TrainConfig, TrainResult
from mlops.training.training_record import identity_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.dataset import SplitName
    from mlops.systems.recipe import DetectionRecipe
    from mlops.training.detection.ultralytics_loop import DetectorPlan, RecipeLoop


class DetectionTrainer:
    """Implements `mlops.training.protocol.Trainer` for `DetectionRecipe`. Holds no state between calls."""

    def check(self, recipe: DetectionRecipe, *, device: str, cache: Path) -> None:
        """See the protocol."""
        settle(cache)
        from mlops.training.detection.first_weights import check_weights
        from mlops.training.device import library_device

        library_device(device)
        with quiet(), keeping_threads():
            check_weights(recipe, cache)

    def fit(self, config: TrainConfig[DetectionRecipe], on_epoch: OnEpoch) -> TrainResult:
        """See the protocol. The best epoch is the library's: the highest val/mAP50-95, which patience also
        uses.
        """
        dataset = boxed(config)
        settle(config.shared)
        return fit(Job(config, dataset, identity_of(config), _loop), on_epoch)

    def test(self, config: TrainConfig[DetectionRecipe], weights: Path, split: SplitName) -> TestResult:
        """See the protocol; plots and predictions go to `test/`."""
        dataset = boxed(config)
        settle(config.shared)
        from mlops.training.detection.box_validator import evaluate

        with quiet(), keeping_threads():
            return evaluate(config, dataset, weights, split)

    def serving_model(self, config: TrainConfig[DetectionRecipe], weights: Path) -> ServingModel:
        """See the protocol; the model goes to `serving/`."""
        dataset = boxed(config)
        settle(config.shared)
        from mlops.training.detection.detector_export import export

        with quiet(), keeping_threads():
            return export(config.recipe, dataset.classes, weights, config.out_dir / "serving")


def _loop(arguments: dict[str, Any], plan: DetectorPlan) -> RecipeLoop:
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    return RecipeLoop(arguments, plan)
