"""Access to an MLflow store: client, names, versions and histories."""
