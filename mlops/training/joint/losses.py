"""The two losses of the joint network, as a criterion of Ultralytics' kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from mlops.training.joint.recipe import CLASSIFICATION, DETECTION

LOGITS = "image_logits"
IMAGE_CLASS = "image_class"

Weigh: TypeAlias = Callable[[Mapping[str, Tensor]], Tensor]
"""From the losses of one batch, means over its pictures, to what goes backward."""


def _plain_sum(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


class JointLoss:
    """Detection: the library's own, box + class + distribution. Classification: cross-entropy.

    Both are means over the pictures. What goes backward is what `weigh` makes of them, times the number of
    pictures, which is how the library scales its losses; unset, as in validation, it is their plain sum.
    """

    def __init__(self, detection: Any) -> None:
        self.detection = detection
        self.weigh: Weigh = _plain_sum

    def __call__(self, preds: Any, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and the parts, detached. `batch` holds each picture's class under `IMAGE_CLASS`."""
        pictures = len(batch["img"])
        parts, items = self.detection(preds, batch)
        boxes = parts.sum() / pictures
        raw = preds[1] if isinstance(preds, (tuple, list)) else preds
        image = functional.cross_entropy(raw[LOGITS].float(), batch[IMAGE_CLASS])
        total = self.weigh({DETECTION: boxes, CLASSIFICATION: image}) * pictures
        found = {f"{DETECTION}_loss": boxes.detach(), f"{CLASSIFICATION}_loss": image.detach()}
        return total, {**items, **found}

    def update(self) -> None:
        """Once an epoch: the schedule of a network with two heads (YOLO26)."""
        if hasattr(self.detection, "update"):
            self.detection.update()

    @property
    def updates(self) -> int:
        return int(getattr(self.detection, "updates", 0))

    @updates.setter
    def updates(self, done: int) -> None:
        self.detection.updates = done
