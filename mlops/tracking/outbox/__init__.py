"""Logged entries, kept on this machine's disk until the store has them: rows in SQLite, files beside it."""
