"""Pods of every sort, and what a real API server with the mesh in it makes of each."""
