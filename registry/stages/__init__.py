"""What MLflow shows of a model's stages, and making it agree with the ledger, interrupted moves first."""
