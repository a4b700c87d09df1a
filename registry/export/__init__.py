"""From a version to the bundle that is deployed: each format made, held against the original, timed, hashed.

`formats` make the files, `proof` holds them against the original, `bundle` is the folder they are deployed
in. `run.export_version` goes through all of it.
"""
