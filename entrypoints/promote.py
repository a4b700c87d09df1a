"""MLproject's entry point `promote`: passes its parameters to `mlops registry promote`."""

from mlops.cli.main import main

main("registry", "promote")
