"""Training classifiers: timm networks with Lightning."""

from __future__ import annotations

from mlops.training.classification.timm_trainer import ClassificationTrainer

__all__ = ["ClassificationTrainer"]
