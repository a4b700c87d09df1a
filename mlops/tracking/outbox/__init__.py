"""What has been logged, kept on this machine's disk until the store has it: rows in SQLite, files beside."""
