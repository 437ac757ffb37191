"""A module per command: its options, and what it prints. What it decides stands in pure modules beside this package."""
