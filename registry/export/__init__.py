"""From a version to the bundle that is deployed: each format made, held against the original, timed, hashed.

`contract` says what a format is; one module each makes one. `run.export_version` goes through all of it.
"""
