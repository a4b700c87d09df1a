"""Demo data: synthetic images, so that every system can be tried without a data set."""

from mlops.data.demo.demo_data import demo_dataset, read_marker

__all__ = ["demo_dataset", "read_marker"]
