"""Release models: policies, evidence, gates, ledger, stages and export.

policies   the requirements of each stage: one YAML file per model, and the classes that it is parsed into
evidence   reads everything recorded about one version from the server into plain values
gates      pure functions: conditions and evidence to results
ledger     the append-only, signed record of stage changes and approvals
stages     changes stages (`lifecycle`) and keeps MLflow consistent with the ledger
export     exports a version for deployment, with a certificate that it matches the original
"""
