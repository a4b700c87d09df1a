"""The formats a version is written in: one module each, behind `contract`; `named` finds them by name."""
