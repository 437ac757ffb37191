"""The issuer: what it accepts, what it refuses, and how it gets its key."""
