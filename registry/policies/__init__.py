"""Policies: the requirements of each stage. The built-in YAML files and the classes they are parsed into."""
