"""Who works on the trials: this process, or worker processes on this machine."""
