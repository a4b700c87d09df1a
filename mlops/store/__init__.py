"""All that is known of an MLflow store's contents: its client, names, versions and histories."""
