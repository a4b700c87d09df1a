"""One module a section: its `build(data)` gives a `Section`, or `Missing` with the reason."""
