"""Import past runs of other tools into MLflow: Ultralytics folders and history files.

`read_past_run` only reads; `take_in` records the result through the outbox.
"""

from __future__ import annotations

from mlops.past_runs.past_run import PastEpoch, PastRun
from mlops.past_runs.read_folder import read_past_run
from mlops.past_runs.record import Imported, take_in

__all__ = ["Imported", "PastEpoch", "PastRun", "read_past_run", "take_in"]
