"""Demo data: pictures made by code, so that every system can be tried without a data set of one's own."""

from mlops.data.demo.demo_data import demo_dataset, read_marker

__all__ = ["demo_dataset", "read_marker"]
