"""A real Kubernetes in network namespaces of its own, without images or a registry. `scripts/cluster` types it."""
