"""Training one network: one package per task, behind `protocol.Trainer`."""

from __future__ import annotations

import os
from typing import Any

from mlops.errors import UserError
from mlops.training.protocol import Trainer

# read by the libraries at import; the user's values have priority
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch: huge pages, far fewer page faults
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime: no usage statistics


def trainer_for(task: str) -> Trainer[Any]:
    """The trainer of a task; imports its libraries."""
    if task == "detection":
        from mlops.training.detection import DetectionTrainer

        detection: Trainer[Any] = DetectionTrainer()
        return detection
    if task == "classification":
        from mlops.training.classification import ClassificationTrainer

        classification: Trainer[Any] = ClassificationTrainer()
        return classification
    if task == "joint":
        from mlops.training.joint import JointTrainer

        joint: Trainer[Any] = JointTrainer()
        return joint
    raise UserError(f"task is {task!r}; expected detection, classification or joint")
