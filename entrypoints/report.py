"""MLproject's entry point `report`: passes its parameters to `mlops report`."""

from mlops.cli.main import main

main("report")
