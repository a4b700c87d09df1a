"""The folder that is deployed, the script in it, and the check that runs it with nothing else installed."""
