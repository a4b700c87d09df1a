"""True and predicted image classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mlops.data.ultralytics_view import viewed
from mlops.training.joint.joint_network import IMAGE_CLASS, LOGITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import DetectionDataset

_BELOW_VIEW = 3  # images/<split>/<name>


def in_view(file: str) -> str:
    """An image's path below the view's folder."""
    return "/".join(Path(file).parts[-_BELOW_VIEW:])


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """The class of every image of a view, by its path in the view."""

    by_path: Mapping[str, int]

    @classmethod
    def of(cls, dataset: DetectionDataset) -> ImageLabels:
        return cls({path: picture.image_class for path, picture in viewed(dataset)})

    def __call__(self, files: Sequence[str]) -> Tensor:
        """Class indices (B,) int64 of a batch's images."""
        return torch.tensor([self.by_path[in_view(file)] for file in files], dtype=torch.int64)


@dataclass(slots=True)
class Gathered:
    """True classes and probabilities of N images, collected over batches."""

    files: list[str] = field(default_factory=list)
    _truth: list[Tensor] = field(default_factory=list)
    _probabilities: list[Tensor] = field(default_factory=list)

    def add(self, files: Sequence[str], truth: Tensor, logits: Tensor) -> None:
        """truth (B,), logits (B, classes)."""
        self.files.extend(files)
        self._truth.append(truth.cpu())
        self._probabilities.append(torch.softmax(logits.float(), 1).cpu())

    def truth(self) -> NDArray[np.int64]:
        return torch.cat(self._truth).numpy()

    def probabilities(self) -> NDArray[np.float32]:
        """(N, classes), each row summing to 1."""
        return torch.cat(self._probabilities).numpy()


class Answering:
    """Mixin for a validator of the library: adds the images' classes to batches and keeps predictions."""

    labels: ImageLabels
    answers: Gathered

    def init_metrics(self, model: Any) -> None:
        super().init_metrics(model)  # type: ignore[misc]
        self.answers = Gathered()

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch[IMAGE_CLASS] = self.labels(batch["im_file"])
        ready: dict[str, Any] = super().preprocess(batch)  # type: ignore[misc]
        return ready

    def postprocess(self, preds: Any) -> Any:
        self._logits = preds[1][LOGITS]
        return super().postprocess(preds)  # type: ignore[misc]

    def update_metrics(self, preds: Any, batch: dict[str, Any]) -> None:
        super().update_metrics(preds, batch)  # type: ignore[misc]
        self.answers.add(batch["im_file"], batch[IMAGE_CLASS], self._logits)
