"""Plots of metrics, and which images a person should look at."""
