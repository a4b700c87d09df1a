"""MLproject's entry point `sync`: passes its parameters to `mlops sync`."""

from mlops.cli.main import main

main("sync")
