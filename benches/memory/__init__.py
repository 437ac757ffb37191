"""What a proxy occupies: idle, with idle connections, and idle again."""
