"""What a person sees in a terminal: progress, tables and messages, on rich."""
