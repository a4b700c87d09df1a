"""`ClassificationTrainer`: the trainer protocol for one class per image, with Lightning and timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.data.dataset import ClassificationDataset
from mlops.errors import DataFault
from mlops.prediction.mlflow_model import ServingModel
from mlops.training.failures import named
from mlops.training.protocol import OnEpoch, TestResult, TrainConfig, TrainResult

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.dataset import SplitName
    from mlops.systems.recipe import ClassificationRecipe


class ClassificationTrainer:
    """Implements `mlops.training.protocol.Trainer` for `ClassificationRecipe`; holds no state."""

    def check(self, recipe: ClassificationRecipe, *, device: str, cache: Path) -> None:
        """See the protocol."""
        from mlops.training.classification import timm_network
        from mlops.training.device import find_device

        find_device(device)
        timm_network.check(recipe)

    def fit(self, config: TrainConfig[ClassificationRecipe], on_epoch: OnEpoch) -> TrainResult:
        """See the protocol. The best epoch has the highest val/macro_f1, which patience also uses."""
        dataset = _pictures_with_classes(config)
        with named(config.out_dir):
            from mlops.training.classification.lightning_loop import train

            return train(config, dataset, on_epoch)

    def test(self, config: TrainConfig[ClassificationRecipe], weights: Path, split: SplitName) -> TestResult:
        """See the protocol; plots and the table of predictions go to a folder with the split's name."""
        dataset = _pictures_with_classes(config)
        with named(config.out_dir):
            from mlops.training.classification.held_out import evaluate

            return evaluate(config, dataset, weights, split)

    def serving_model(self, config: TrainConfig[ClassificationRecipe], weights: Path) -> ServingModel:
        """See the protocol; the model goes to `serving/`."""
        dataset = _pictures_with_classes(config)
        with named(config.out_dir):
            from mlops.training.classification.classifier_export import export

            return export(config.recipe, dataset.classes, weights, config.out_dir / "serving")


def _pictures_with_classes(config: TrainConfig[ClassificationRecipe]) -> ClassificationDataset:
    dataset = config.dataset
    if not isinstance(dataset, ClassificationDataset):
        raise DataFault(f"{dataset.identity.path} has boxes; a classifier needs one class per image")
    for split in ("train", "val"):
        if not len(dataset.splits.get(split, ())):
            raise DataFault(f"{dataset.identity.path} has no images in its {split} split")
    return dataset
