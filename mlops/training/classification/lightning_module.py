"""The Lightning module: one step, one validation, the optimizer and its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from mlops.training.classification.batches import augmentation
from mlops.training.classification.compiling import compiled
from mlops.training.classification.timm_network import head_parameters, normalisation

if TYPE_CHECKING:
    from mlops.systems.recipe import ClassificationRecipe

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
MOMENTUM = 0.9  # of SGD, which is Nesterov's here
WARMUP_FROM = 0.01  # of the learning rate


class ClassifierModule(pl.LightningModule):  # type: ignore[misc]
    """A timm network, trained by a recipe.

    class_counts: images of each class in the training split, (C,).
    steps_per_epoch: optimizer steps: batches divided by `accumulate`, rounded up.
    """

    mean: Tensor
    std: Tensor
    class_weights: Tensor | None

    def __init__(
        self, network: nn.Module, recipe: ClassificationRecipe, class_counts: Tensor, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.augment = augmentation(recipe)
        self.backbone_frozen = False
        self.seen, self.validated = Predictions(), Predictions()
        self._trained: Any = self.network.forward
        if recipe.compile is True:
            self.use_compiled()
        norm = normalisation(network)
        self.register_buffer("mean", torch.tensor(norm.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(norm.std).view(1, 3, 1, 1), persistent=False)
        weights = balanced_weights(class_counts) if recipe.class_weights == "balanced" else None
        self.register_buffer("class_weights", weights, persistent=False)

    def use_compiled(self) -> None:
        """Train by a compiled function; a compiled copy of the network would be saved twice."""
        self._trained = compiled(self.network.forward)

    def use_eager(self) -> None:
        self._trained = self.network.forward

    # freezing

    def freeze_backbone(self, frozen: bool) -> None:
        """Freeze or unfreeze the backbone: gradients and batch-norm statistics."""
        self.backbone_frozen = frozen
        head = {id(parameter) for parameter in head_parameters(self.network)}
        for parameter in self.network.parameters():
            parameter.requires_grad = not frozen or id(parameter) in head
        self.train(self.training)

    def train(self, mode: bool = True) -> ClassifierModule:
        super().train(mode)
        if self.backbone_frozen:
            for module in self.network.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        return self

    # steps

    def normalised(self, pictures: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) floats in 0..1 for the network."""
        normal = (pictures - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)

    def changed(self, pictures: Tensor) -> Tensor:
        """Convert uint8 images to floats in 0..1 and augment them."""
        floats = pictures.to(torch.float32).div_(255)
        return floats if self.augment is None else self.augment(floats)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        pictures, labels = batch
        with torch.autocast(self.device.type, enabled=False):
            inputs = self.normalised(self.changed(pictures))
        logits = self._trained(inputs)
        loss = self.loss(logits, labels)
        self.seen.add(logits, labels, loss)
        return loss

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy with the recipe's class weights and label smoothing."""
        return functional.cross_entropy(
            logits.float(), labels, weight=self.class_weights, label_smoothing=self.recipe.label_smoothing
        )

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        pictures, labels = batch
        logits = self(pictures)
        self.validated.add(logits, labels, functional.cross_entropy(logits, labels))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, C) float32 of uint8 images (B, 3, H, W), without augmentation."""
        inputs = self.normalised(pictures.to(torch.float32).div_(255))
        logits: Tensor = self.network(inputs)
        return logits.float()

    # optimizer

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = self._optimizer()
        total = self.recipe.epochs * self.steps_per_epoch
        warmup = round(self.recipe.warmup_epochs * self.steps_per_epoch)
        schedule = make_schedule(optimizer, self.recipe, total, warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _optimizer(self) -> torch.optim.Optimizer:
        head = {id(parameter) for parameter in head_parameters(self.network)}
        groups = [
            {"name": name, "params": [p for p in self.network.parameters() if (id(p) in head) is is_head]}
            for name, is_head in (("backbone", False), ("head", True))
        ]
        recipe = self.recipe
        rates: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
        fused = not self._scales_gradients
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True, fused=fused, **rates)
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        return kind(groups, fused=fused, **rates)

    @property
    def _scales_gradients(self) -> bool:
        """Lightning cannot clip gradients that a fused optimizer unscales."""
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None or self.device.type == "mps"


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: ClassificationRecipe, total: int, warmup: int
) -> lr_scheduler.LRScheduler:
    """The recipe's schedule over `total` steps, after a linear warm-up of `warmup` steps.

    `cosine` decays to 0 (Loshchilov and Hutter, SGDR, ICLR 2017, one period). `onecycle` rises for 30 % of
    the steps and then decays (Smith and Topin, Super-convergence, 2018); it has its own warm-up.
    """
    if recipe.schedule == "onecycle":
        return lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=total + 1)
    after: lr_scheduler.LRScheduler = lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    if recipe.schedule == "cosine":
        after = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(total - warmup, 1))
    if not warmup:
        return after
    rising = lr_scheduler.LinearLR(optimizer, start_factor=WARMUP_FROM, total_iters=warmup)
    return lr_scheduler.SequentialLR(optimizer, [rising, after], milestones=[warmup])


def balanced_weights(counts: Tensor) -> Tensor:
    """n / (C * n_c) for counts (C,); a class without images counts as one with one image."""
    return counts.sum() / (len(counts) * counts.clamp(min=1).float())


class Predictions:
    """Predictions of an epoch, kept on the device until `take`."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """logits (B, C), labels (B,), loss: the mean, ()."""
        self._batches.append((logits.detach(), labels, loss.detach() * len(labels)))

    def take(self) -> tuple[Tensor, Tensor, float]:
        """Return predicted classes (N,), true classes (N,) and the mean loss, on the CPU, and clear them."""
        logits, labels, losses = zip(*self._batches, strict=True)
        self._batches = []
        predicted = torch.cat(logits).argmax(1).cpu()
        return predicted, torch.cat(labels).cpu(), torch.stack(losses).sum().item() / len(predicted)
