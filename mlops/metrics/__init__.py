"""Metrics and statistics over tables of predictions. Pure functions.

samples      per-sample tables and arrays; which predicted box matches which annotated one
statistics   several tables on the same samples: intervals, tests, verdicts
"""
