"""MLproject's entry point `evaluate`: passes its parameters to `mlops evaluate`."""

from mlops.cli.main import main

main("evaluate")
