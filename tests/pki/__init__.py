"""Certificates, made and read."""
