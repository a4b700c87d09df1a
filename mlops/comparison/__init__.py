"""Compare versions, runs and studies on the same samples, with their costs."""
