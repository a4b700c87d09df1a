"""`JointTrainer`: boxes and the image's class in one network, and its ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import DataFault
from mlops.prediction.mlflow_model import ServingModel
from mlops.training.detection.detector_export import OUTPUT, exported
from mlops.training.detection.fitting import Job, boxed, fit
from mlops.training.detection.ultralytics_library import keeping_threads, quiet, settle
from mlops.training.joint.joint_recipe import (
    CLASSIFICATION,
    DETECTION,
    TASKS,
    as_detection,
    balance_settings,
    refuse_impossible,
    tasks_of,
)
from mlops.training.protocol import OnEpoch, TestResult, TrainConfig, TrainResult
from mlops.training.training_record import identity_of

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe, JointRecipe
    from mlops.training.detection.ultralytics_loop import DetectorPlan, RecipeLoop


class JointTrainer:
    """Implements `mlops.training.protocol.Trainer` for `JointRecipe`. Holds no state between calls."""

    def check(self, recipe: JointRecipe, *, device: str, cache: Path) -> None:
        """See the protocol. Also raises BadSetting for an unavailable balance method."""
        refuse_impossible(recipe)
        settle(cache)
        from mlops.training.balance import balancer_for
        from mlops.training.detection.first_weights import check_weights
        from mlops.training.device import library_device

        balancer_for(balance_settings(recipe, 2), tasks_of(recipe))
        library_device(device)
        with quiet(), keeping_threads():
            check_weights(recipe, cache)

    def fit(self, config: TrainConfig[JointRecipe], on_epoch: OnEpoch) -> TrainResult:
        """See the protocol. The best epoch has the highest mean of val/mAP50-95 and val/macro_f1 (of the
        trained tasks); patience uses the same value.
        """
        dataset = _joint(config)
        settle(config.shared)

        def loop(arguments: dict[str, Any], plan: DetectorPlan) -> RecipeLoop:
            return _loop(config.recipe, dataset, arguments, plan)

        return fit(Job(_for_boxes(config), dataset, identity_of(config), loop), on_epoch)

    def test(self, config: TrainConfig[JointRecipe], weights: Path, split: SplitName) -> TestResult:
        """See the protocol; plots, boxes and predictions of the trained tasks go to `test/`."""
        dataset = _joint(config)
        settle(config.shared)
        from mlops.training.joint.joint_metrics import evaluate

        with quiet(), keeping_threads():
            return evaluate(_for_boxes(config), dataset, weights, split, tasks_of(config.recipe))

    def serving_model(self, config: TrainConfig[JointRecipe], weights: Path) -> ServingModel:
        """See the protocol; the model has the outputs of the trained tasks and goes to `serving/`."""
        dataset = _joint(config)
        settle(config.shared)

        with quiet(), keeping_threads():
            recipe, folder = as_detection(config.recipe), config.out_dir / "serving"
            return export(recipe, dataset, weights, folder, tasks_of(config.recipe))


def _joint(config: TrainConfig[JointRecipe]) -> DetectionDataset:
    dataset = boxed(config, "the joint detector")
    if not dataset.image_classes:
        raise DataFault(f"{dataset.identity.path} was read without image classes; open it for the joint task")
    return dataset


def _for_boxes(config: TrainConfig[JointRecipe]) -> TrainConfig[DetectionRecipe]:
    return TrainConfig(
        recipe=as_detection(config.recipe),
        dataset=config.dataset,
        out_dir=config.out_dir,
        device=config.device,
        seed=config.seed,
        progress=config.progress,
        cache=config.cache,
    )


def _loop(
    recipe: JointRecipe, dataset: DetectionDataset, arguments: dict[str, Any], plan: DetectorPlan
) -> RecipeLoop:
    from mlops.training.joint.image_classes import ImageLabels
    from mlops.training.joint.joint_loop import JointLoop, JointPlan
    from mlops.training.joint.joint_network import HeadShape

    classes = dataset.image_classes
    joint = JointPlan(
        head=HeadShape(len(classes), recipe.head_width, recipe.head_dropout),
        independent=recipe.backbones == "independent",
        tasks=tasks_of(recipe),
        balance=balance_settings(recipe, len(classes)),
        labels=ImageLabels.of(dataset),
        image_classes=classes,
    )
    return JointLoop(arguments, plan, joint)


PROBABILITIES = "class_probabilities"


def export(
    recipe: DetectionRecipe,
    dataset: DetectionDataset,
    weights: Path,
    folder: Path,
    tasks: Sequence[str] = TASKS,
) -> ServingModel:
    """Write `folder`/model.onnx: `output0` as for a detector, `class_probabilities` (batch, image classes).

    `preprocessing` has the classes of the boxes (`classes`) and of the images (`image_classes`); both outputs
    are for the same letterboxed image. A network of one task has only its output: `preprocessing` has no
    `nms` without boxes, and no `image_classes` without image classes.
    """
    name_of = {DETECTION: OUTPUT, CLASSIFICATION: PROBABILITIES}
    served = exported(recipe, dataset.classes, weights, folder, [name_of[task] for task in tasks])
    said = dict(served.preprocessing)
    if DETECTION not in tasks:
        del said["nms"], said["output"]
    if CLASSIFICATION in tasks:
        said["image_classes"] = list(dataset.image_classes)
        said["class_output"] = f"{PROBABILITIES}: (batch, image classes): probabilities of the whole picture"
    return replace(served, preprocessing=said)
