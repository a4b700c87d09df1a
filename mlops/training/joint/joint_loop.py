"""The detector's training loop with a second task and balanced losses."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ultralytics.data import build_yolo_dataset
from ultralytics.utils.torch_utils import unwrap_model

from mlops.training.balance import balancer_for
from mlops.training.detection import arguments
from mlops.training.detection.ultralytics_loop import DetectorPlan, RecipeLoop
from mlops.training.joint.joint_metrics import JointValidator, f1_of, of_tasks
from mlops.training.joint.joint_network import IMAGE_CLASS, HeadShape, JointModel
from mlops.training.protocol import EpochReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mlops.training.balance import BalanceSettings
    from mlops.training.joint.image_classes import ImageLabels

SURGERY = ("upgrad", "pcgrad")


@dataclass(frozen=True, slots=True)
class JointPlan:
    """Settings of a joint training in addition to the detector's plan."""

    head: HeadShape
    independent: bool
    tasks: tuple[str, ...]
    balance: BalanceSettings
    labels: ImageLabels
    image_classes: tuple[str, ...]


class JointLoop(RecipeLoop):
    """One joint training."""

    def __init__(self, overrides: dict[str, Any], plan: DetectorPlan, joint: JointPlan) -> None:
        self.joint = joint
        self.balancer = balancer_for(joint.balance, joint.tasks)
        self._balanced: dict[str, float] = {}
        super().__init__(overrides, plan)

    # data

    def library_dataset(self, img_path: str, mode: str, batch: int | None) -> Any:
        """Square images in validation, too, as the class head averages over the whole image with padding."""
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        return build_yolo_dataset(self.args, img_path, batch, self.data, mode=mode, rect=False, stride=stride)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch[IMAGE_CLASS] = self.joint.labels(batch["im_file"])
        ready: dict[str, Any] = super().preprocess_batch(batch)
        return ready

    # the network and its losses

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        model = self.set_model_names_for_load(
            JointModel(
                cfg,
                head=self.joint.head,
                independent=self.joint.independent,
                ch=self.data["channels"],
                nc=self.data["nc"],
                verbose=verbose,
            )
        )
        model.tasks = self.joint.tasks
        if weights is not None:
            model.load(weights)
            self.refuse_foreign_weights(model)
            if not isinstance(weights, JointModel):
                model.begin_alike()
        return model

    def get_validator(self) -> JointValidator:
        return JointValidator(
            self.test_loader,
            save_dir=self.save_dir,
            args=copy(self.args),
            callbacks=self.callbacks,
            labels=self.joint.labels,
            image_classes=self.joint.image_classes,
            tasks=self.joint.tasks,
        )

    def set_up(self) -> None:
        super().set_up()
        model = unwrap_model(self.model)
        if getattr(model, "criterion", None) is None:
            model.criterion = model.init_criterion()
        model.criterion.weigh = self._weigh
        surgery = self.joint.balance.method in SURGERY
        shared = [] if self.joint.independent else [model.last_shared()]
        self._shared = list(model.backbone.parameters()) if surgery else shared

    def _weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        trained = {task: losses[task] for task in self.joint.tasks}
        return self.balancer.total(trained, self._shared, self.scaler)

    def optimizer_step(self) -> None:
        if self.balancer.step():
            super().optimizer_step()
        else:
            self.optimizer.zero_grad()

    # the epoch

    def _end_training_part(self) -> None:
        super()._end_training_part()
        self._balanced = self.balancer.end_epoch()

    def report(self) -> EpochReport:
        report = super().report()
        metrics = {
            **report.metrics,
            **self._balanced,
            **f1_of(report.metrics, "val"),
            **{f"val/{name}": value for name, value in self.validator.classified.items()},
        }
        told = of_tasks(arguments.finite_or_nan(metrics), self.joint.tasks)
        return EpochReport(report.epoch, told, report.seconds, report.images)

    # checkpoints

    def training_state(self) -> dict[str, Any]:
        return {**super().training_state(), "balance": self.balancer.state_dict()}

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        super().resume_training(ckpt)
        if ckpt is not None and not self.plan.only_finish:
            self.balancer.load_state_dict(ckpt["balance"])
