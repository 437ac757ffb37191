"""What `scripts/bench` measures. Each measurement runs its cases interleaved in one run, so that they compare."""
