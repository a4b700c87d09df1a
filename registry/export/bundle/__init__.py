"""The folder that is deployed, its script, and the check that runs the script in an isolated environment."""
