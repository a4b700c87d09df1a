"""MLproject's entry point `rollback`: passes its parameters to `mlops registry rollback`."""

from mlops.cli.main import main

main("registry", "rollback")
