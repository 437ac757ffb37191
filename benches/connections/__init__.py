"""What connections cost a pair of proxies in memory: thousands that idle between requests, some that are busy."""
