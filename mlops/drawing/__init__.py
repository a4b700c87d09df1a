"""Plots of metrics, and the choice of example images."""
