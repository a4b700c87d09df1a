"""Export a version to a bundle for deployment: convert, compare with the original, time and hash.

`formats` writes the files, `proof` compares them with the original, `bundle` is the folder that is deployed.
`export.export_version` runs all steps.
"""
