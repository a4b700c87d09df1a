"""MLproject's entry point `compare`: passes its parameters to `mlops compare`."""

from mlops.cli.main import main

main("compare")
