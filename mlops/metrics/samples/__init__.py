"""Answers to every picture, as tables and arrays, and which predicted box finds which annotated one."""
