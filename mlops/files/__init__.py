"""Files on this machine: locks, atomic writes, digests, text and YAML, the home folder."""
