"""Somebody else's webhook."""
