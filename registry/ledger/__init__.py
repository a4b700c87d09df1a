"""The ledger: an entry, the chain of those that count, the log they lie in, and the state that follows."""
