"""The validation after each epoch of a joint training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ultralytics.models.yolo.detect import DetectionValidator

from mlops.evaluation.metrics.classification import headline
from mlops.training.joint.answers import Answering, ImageLabels
from mlops.training.joint.figures import fitness


class JointValidator(Answering, DetectionValidator):  # type: ignore[misc]
    """The library's validator; adds accuracy and macro F1, and ranks epochs by both tasks."""

    def __init__(
        self,
        dataloader: Any,
        *,
        save_dir: Any,
        args: Any,
        callbacks: Any,
        labels: ImageLabels,
        image_classes: Sequence[str],
        tasks: Sequence[str],
    ) -> None:
        super().__init__(dataloader, save_dir=save_dir, args=args, _callbacks=callbacks)
        self.labels, self.image_classes, self.tasks = labels, image_classes, tasks
        self.classified: dict[str, float] = {}

    def get_stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = super().get_stats()
        said = self.answers.probabilities().argmax(1)
        self.classified = headline(self.answers.truth(), said, self.image_classes, per_class=True)
        accuracy, macro_f1 = self.classified["accuracy"], self.classified["macro_f1"]
        ranked = fitness(float(self.metrics.box.map), macro_f1, self.tasks)
        return {**stats, "metrics/accuracy": accuracy, "metrics/macro_f1": macro_f1, "fitness": ranked}
