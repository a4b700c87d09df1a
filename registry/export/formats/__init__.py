"""Export formats: one module each, with the interface in `contract` and the names in `format_names`."""
