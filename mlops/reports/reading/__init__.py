"""From an MLflow store to `mlops.reports.facts`."""
