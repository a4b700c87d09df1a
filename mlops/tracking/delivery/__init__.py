"""Delivery from the outbox to MLflow: by one process, in order, and by kind of entry."""
