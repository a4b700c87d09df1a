"""Training detectors through Ultralytics.

Nothing here loads the library; `DetectionTrainer` does when it is first asked for something.
"""

from mlops.training.detection.ultralytics_trainer import DetectionTrainer

__all__ = ["DetectionTrainer"]
