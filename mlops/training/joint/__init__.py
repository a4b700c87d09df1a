"""One network that finds objects and names the image's class, its two losses kept in balance."""

from __future__ import annotations

from mlops.training.joint.joint_trainer import JointTrainer

__all__ = ["JointTrainer"]
