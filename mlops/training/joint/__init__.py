"""One network for boxes and the image's class, with balanced losses."""

from __future__ import annotations

from mlops.training.joint.joint_trainer import JointTrainer

__all__ = ["JointTrainer"]
