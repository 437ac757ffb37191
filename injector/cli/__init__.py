"""The command line: a file per command. The only package that wires the parts together."""
