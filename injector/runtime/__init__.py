"""What every long-running part has: its installation settings, logs, admin port and signals."""
