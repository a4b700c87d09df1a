"""Differences between models on the same samples: bootstrap intervals, paired tests, verdicts. Pure."""
