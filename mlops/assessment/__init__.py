"""A version measured on held-out data: its table, figures and errors, and what is kept on its run."""
