"""From an MLflow store to `mlops.reports.tracked_facts`."""
