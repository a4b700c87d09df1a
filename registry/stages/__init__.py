"""Moving versions: `lifecycle` decides and records, `settle` makes MLflow's stage, alias and tag agree."""
