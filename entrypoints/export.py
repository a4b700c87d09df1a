"""MLproject's entry point `export`: passes its parameters to `mlops export`."""

from mlops.cli.main import main

main("export")
