"""Per-sample results as tables and arrays, and the matching of predicted and annotated boxes."""
