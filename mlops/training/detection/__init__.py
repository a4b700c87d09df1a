"""Training detectors with Ultralytics.

Importing this package does not load the library; `DetectionTrainer` loads it at the first call.
"""

from mlops.training.detection.ultralytics_trainer import DetectionTrainer

__all__ = ["DetectionTrainer"]
