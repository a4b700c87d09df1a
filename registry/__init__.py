"""Releasing models: what is asked of a version, what is known of it, who moved it, and what is deployed.

policies   what a version must show, a YAML file a model, and the classes that they are read into
evidence   what is known of one version, gathered from the server into plain values
gates      conditions against evidence; pure. `judgement` is one version before the gates of one stage
ledger     who decided what: the append-only chain of entries, and its signatures
stages     making MLflow show what the ledger says. `lifecycle` moves versions
export     a version as what is deployed, with the proof that it equals the original
"""
