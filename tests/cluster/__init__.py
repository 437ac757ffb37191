"""The tests that need a real Kubernetes."""
