"""One module per format; each has `read(path, ...)`, which returns a source with the faults found."""

from mlops.data.readers.detect import detect_format, read_source

__all__ = ["detect_format", "read_source"]
