"""Engines that run the trials: this process, worker processes on this machine, or a Ray cluster."""
