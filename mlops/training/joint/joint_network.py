"""An Ultralytics detection network with a second head for the image's class, and the two losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from ultralytics.nn.modules import Conv
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import fuse_conv_and_bn, initialize_weights

from mlops.errors import MissingWeights
from mlops.training.detection.network_file import BUILDERS, JOINT, NetworkDescription
from mlops.training.detection.ultralytics_internals import OpenModel
from mlops.training.joint.joint_recipe import CLASSIFICATION, DETECTION, TASKS

# of batch norm's running statistics. With the library's 0.03 they lag behind fast-changing weights in every
# layer, so that after a short training, predictions of single images are worse than in batches
# (docs/joint.md)
MOMENTUM = 0.1
MOST_WIDTH = 65_536  # of the second head, in a file that anyone may have written


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The class head: number of image classes, channels, and dropout."""

    classes: int
    width: int
    dropout: float


class ImageHead(nn.Module):
    """Features (B, C, H, W) to logits (B, classes): convolution, mean over the image, dropout, linear."""

    def __init__(self, channels: int, shape: HeadShape) -> None:
        super().__init__()
        self.conv = Conv(channels, shape.width, 1)
        self.dropout = nn.Dropout(shape.dropout)
        self.linear = nn.Linear(shape.width, shape.classes)

    def forward(self, features: Tensor) -> Tensor:
        pooled = self.conv(features).mean((2, 3))
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits


class JointModel(OpenModel):
    """Returns the output of the library's network and the class logits, (B, image classes).

    In training and validation, logits are in the dictionary of raw predictions under `LOGITS`. An exported
    network returns boxes and class probabilities, or only the output of the trained task (`tasks`).
    """

    kind = JOINT
    tasks: tuple[str, ...] = TASKS

    def __init__(
        self,
        cfg: Any,
        *,
        head: HeadShape,
        independent: bool = False,
        ch: int = 3,
        nc: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(cfg, ch=ch, nc=nc, verbose=verbose)
        self.shared_at = len(self.yaml["backbone"]) - 1
        self.image_backbone = None
        if independent:
            other = DetectionModel(cfg, ch=ch, nc=nc, verbose=False)
            self.image_backbone = other.model[: self.shared_at + 1]
        with torch.no_grad():
            self.model.eval()
            channels = self._features(torch.zeros(1, ch, 64, 64)).shape[1]
            self.model.train()
        self.image_head = ImageHead(channels, head)
        initialize_weights(self.image_head)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = MOMENTUM

    @property
    def backbone(self) -> Sequence[nn.Module]:
        """The layers up to the last shared one."""
        layers: Sequence[nn.Module] = self.model[: self.shared_at + 1]
        return layers

    def last_shared(self) -> nn.Parameter:
        """The weights of the last convolution shared by both tasks."""
        found = [each for each in self.backbone[-1].parameters() if each.ndim > 1]
        return found[-1]

    def begin_alike(self) -> None:
        """Initialise the second backbone with the first one's weights."""
        if self.image_backbone is not None:
            self.image_backbone.load_state_dict(self.backbone.state_dict())  # type: ignore[attr-defined]

    def _features(self, pictures: Tensor) -> Tensor:
        """The class head's input, from its separate backbone."""
        layers = self.image_backbone if self.image_backbone is not None else self.backbone
        features: Tensor = _run(layers, pictures, {*self.save, self.shared_at})[0]
        return features

    def run_layers(self, x: Tensor, profile: bool = False, embed: Any = None) -> Any:
        head = getattr(self, "image_head", None)
        if head is None or embed:  # the library computes strides while building
            return super().run_layers(x, profile, embed)
        pictures = x
        predictions, kept = _run(self.model, pictures, {*self.save, self.shared_at})
        features = kept[self.shared_at] if self.image_backbone is None else self._features(pictures)
        logits = head(features)
        if isinstance(predictions, Tensor):
            return self._answer(predictions, torch.softmax(logits.float(), 1))
        raw = predictions[1] if isinstance(predictions, tuple) else predictions
        raw[LOGITS] = logits
        return predictions

    def _answer(self, boxes: Tensor, probabilities: Tensor) -> Any:
        given = {DETECTION: boxes, CLASSIFICATION: probabilities}
        answers = tuple(given[task] for task in self.tasks)
        return answers if len(answers) > 1 else answers[0]

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> JointModel:
        super().fuse(verbose=verbose, imgsz=imgsz)
        for part in (self.image_head, self.image_backbone):
            for module in part.modules() if part is not None else ():
                if isinstance(module, Conv) and hasattr(module, "bn"):
                    module.conv = fuse_conv_and_bn(module.conv, module.bn)
                    delattr(module, "bn")
                    module.forward = module.forward_fuse
        return self

    def init_criterion(self) -> JointLoss:
        return JointLoss(super().init_criterion())


def _run(layers: Iterable[Any], x: Any, kept_at: set[int]) -> tuple[Any, dict[int, Any]]:
    """The last layer's output and those at `kept_at`. The library's layers state their inputs."""
    kept: dict[int, Any] = {}
    for layer in layers:
        if layer.f != -1:
            x = kept[layer.f] if isinstance(layer.f, int) else [x if j == -1 else kept[j] for j in layer.f]
        x = layer(x)
        if layer.i in kept_at:
            kept[layer.i] = x
    return x, kept


def _from_description(description: NetworkDescription, tensors: Mapping[str, Tensor]) -> JointModel:
    """See `network_file.Builder`: the second head's shape follows from its tensors."""
    linear = tensors.get("image_head.linear.weight")
    if linear is None or linear.ndim != 2 or max(linear.shape) > MOST_WIDTH:
        raise MissingWeights("the joint network has no head for the image's class")
    dropout = description.settings.get("image_head.dropout", {}).get("p", 0.0)
    head = HeadShape(int(linear.shape[0]), int(linear.shape[1]), min(max(float(dropout), 0.0), 1.0))
    independent = any(name.startswith("image_backbone.") for name in tensors)
    network = JointModel(dict(description.yaml), head=head, independent=independent, ch=description.channels)
    if description.tasks and set(description.tasks) <= set(TASKS):
        network.tasks = description.tasks
    return network


BUILDERS[JOINT] = _from_description

LOGITS = "image_logits"
IMAGE_CLASS = "image_class"

Weigh: TypeAlias = Callable[[Mapping[str, Tensor]], Tensor]
"""Combines the losses of one batch (means over its images) to the loss to backpropagate."""


def _plain_sum(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


class JointLoss:
    """Detection: the library's loss, box + class + distribution. Classification: cross-entropy.

    Both are means over the images. The total is the result of `weigh`, times the number of images, as the
    library scales its losses. If `weigh` is not set, as in validation, it is their sum.
    """

    def __init__(self, detection: Any) -> None:
        self.detection = detection
        self.weigh: Weigh = _plain_sum

    def __call__(self, preds: Any, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and the detached parts. `batch` has the image classes under `IMAGE_CLASS`."""
        pictures = len(batch["img"])
        parts, items = self.detection(preds, batch)
        boxes = parts.sum() / pictures
        raw = preds[1] if isinstance(preds, (tuple, list)) else preds
        image = functional.cross_entropy(raw[LOGITS].float(), batch[IMAGE_CLASS])
        total = self.weigh({DETECTION: boxes, CLASSIFICATION: image}) * pictures
        found = {f"{DETECTION}_loss": boxes.detach(), f"{CLASSIFICATION}_loss": image.detach()}
        return total, {**items, **found}

    def update(self) -> None:
        """Called once per epoch: the schedule of a network with two heads (YOLO26)."""
        if hasattr(self.detection, "update"):
            self.detection.update()

    @property
    def updates(self) -> int:
        return int(getattr(self.detection, "updates", 0))

    @updates.setter
    def updates(self, done: int) -> None:
        self.detection.updates = done
