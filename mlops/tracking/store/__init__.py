"""Where the record ends up: which store it is, its client, what it answers, and a server over it."""
