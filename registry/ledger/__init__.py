"""The ledger: entries, the chain of valid entries, the log on the server, and the resulting state."""
