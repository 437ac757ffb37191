"""The sample shop: `web` in front of `api` in front of Redis and MariaDB, and `load`, which buys."""
