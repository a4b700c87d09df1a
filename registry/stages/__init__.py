"""Moving versions through the stages, judging them, and making MLflow agree with the ledger."""
