"""One module a format; each has `read(path, ...)`, which gives a source with the faults it met."""

from mlops.data.readers.detect import detect_format, read_source

__all__ = ["detect_format", "read_source"]
