"""A report as Markdown, as one HTML page, and as JSON."""
