"""Data sets in an object store: fetched once, verified at every use, resumed after an interruption."""
