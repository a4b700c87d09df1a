"""YAML files read into typed classes, and errors that point at the line. Knows no system and no policy."""
