"""What the machine, or the container on it, gives to this command: processors and memory."""
