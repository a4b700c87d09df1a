"""Compare exported files with the original on held-out images, time them, and certify the result."""
