"""The sample shop: `web` in front of `api` in front of Redis, MariaDB and `shipping`, and `load`, which buys."""
