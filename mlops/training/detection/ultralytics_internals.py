"""The private names of Ultralytics that we override; each becomes a method with a public name.

Ultralytics' callbacks run around these steps and can neither replace nor prevent one, so there is no public
way to do this. pyproject.toml bounds the version; a test names the attribute that an upgrade breaks.
"""

from __future__ import annotations

from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.nn.tasks import DetectionModel


class HookedTrainer(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' detection trainer with public methods for private ones."""

    def set_up(self) -> None:
        """Create model, data loaders and optimizer. Mixed precision is checked by `half_precision_works`.

        Ultralytics would check it with a YOLO26n that it downloads.
        """
        self._precision_asked, self.args.amp = self.args.amp, False
        super()._setup_train()

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """The last step of the set-up: precision is chosen here, before a checkpoint's scaler is loaded."""
        self.args.amp = asked = self._precision_asked
        if asked not in (False, "fp32") and half_precision_works(self.model):
            self.amp = True
            self.scaler = torch.amp.GradScaler("cuda", enabled=asked != "bf16")
        super().resume_training(ckpt)

    def run_epochs(self) -> None:
        """Set up and train, from the first epoch to the final evaluation."""
        super()._do_train()

    def mosaic_closed(self) -> None:
        """Called after the mosaic augmentation was disabled, which rebuilds the transforms."""

    def recover_from_nan(self, epoch: int) -> bool:
        """Called if a loss or fitness is NaN; True if training continues from the last checkpoint."""
        return bool(super()._handle_nan_recovery(epoch))

    def before_pipeline(self) -> None:
        """Called before optimizer and loaders are created; again with a smaller batch after out of memory."""

    def _setup_train(self) -> None:
        self.set_up()

    def _do_train(self) -> None:
        self.run_epochs()

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        self.mosaic_closed()

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return self.recover_from_nan(epoch)

    def _build_train_pipeline(self) -> None:
        self.before_pipeline()
        super()._build_train_pipeline()


class MatchingValidator(DetectionValidator):  # type: ignore[misc]
    """Ultralytics' detection validator, with a method called for each image."""

    def image_matched(self, preds: dict[str, Any], batch: dict[str, Any], result: dict[str, Any]) -> None:
        """Called for each image with predictions, truths and matches, in pixels of the letterboxed image."""

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = super()._process_batch(preds, batch)
        self.image_matched(preds, batch, result)
        return result


class OpenModel(DetectionModel):  # type: ignore[misc]
    """Ultralytics' detection network, whose forward pass over its layers can be replaced."""

    def run_layers(self, x: Any, profile: bool = False, embed: Any = None) -> Any:
        """The forward pass over all layers."""
        return super()._predict_once(x, profile, embed)

    def _predict_once(self, x: Any, profile: bool = False, embed: Any = None) -> Any:
        return self.run_layers(x, profile, embed)


def half_precision_works(model: Any) -> bool:
    """True if `model` gives finite predictions in mixed precision on its GPU; False on CPU and MPS.

    Some GPUs (GTX 16xx and similar) give NaN.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    was_training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast("cuda"):
        predictions = model(torch.full((1, 3, 256, 256), 0.5, device=device))[0]
    model.train(was_training)
    return bool(torch.isfinite(predictions).all())
