"""The command line `mlops`: thin commands that read arguments, call one function and print its result."""
