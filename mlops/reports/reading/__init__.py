"""Read an MLflow store into `mlops.reports.tracked_facts`."""
