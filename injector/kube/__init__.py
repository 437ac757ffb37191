"""The one Kubernetes client, its informers, leases and events; raw JSON in, raw JSON out."""
