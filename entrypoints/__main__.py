"""`python -m entrypoints`: what MLproject runs, the same as `mlops`."""

from entrypoints.cli import main

main()
