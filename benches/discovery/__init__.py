"""Discovery at size: many Services, many streams, one rolling deployment, everybody reconnecting, a scan."""
