"""What `injector check` looks at: facts are read at the edge, and judged by pure functions."""
