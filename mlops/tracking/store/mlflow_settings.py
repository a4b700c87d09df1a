"""What MLflow reads from the environment, set where the user has not set it."""

from __future__ import annotations

import os

# One try and a bounded wait: the delivery thread does its own back-off, and MLflow's seven retries would hold
# it for four minutes at every outage. Standard output is the command's own: MLflow's links would spoil
# `--json`.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def prepare_environment() -> None:
    """Set our defaults for MLflow in this process and its children; what the user set stays."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
