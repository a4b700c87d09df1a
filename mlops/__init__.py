"""Search, train and track vision models. Knows nothing of releases (see `registry`)."""

__version__ = "0.1.0"
