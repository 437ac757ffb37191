"""The registry that every part starts its metrics from."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics


def new_registry() -> CollectorRegistry:
    """A registry with the process's own metrics (CPU, memory, file descriptors, garbage collection)."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
