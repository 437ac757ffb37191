"""Mutual TLS between two proxies: how fast one stream is, and how many connections a second can begin."""
