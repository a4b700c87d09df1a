"""From the outbox to MLflow: who delivers, in which order, and how each kind of entry is sent."""
