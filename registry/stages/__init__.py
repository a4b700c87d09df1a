"""Change stages, judge versions, and keep MLflow consistent with the ledger."""
