"""MLproject's entry point `train`: passes its parameters to `mlops train`."""

from mlops.cli.main import main

main("train")
