"""One module per section: its `build(data)` returns a `Section`, or a `MissingSection` with the reason."""
