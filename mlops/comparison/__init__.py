"""Versions, runs and studies compared on the same samples, with what each cost."""
