"""The webhook's metrics. Every label's values come from an enum: nothing a pod's author writes becomes a label."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from injector.runtime.gate import Reason
from injector.webhook.handler import Entry, Result

# From a cached 4 KB pod to the API server's patience.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class WebhookMetrics:
    """Registered in `registry`; methods are what the parts of the webhook report."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Counter(
            "injector_webhook_reviews",
            "Reviews answered, by webhook entry, what became of them, and why.",
            ["entry", "result", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "injector_webhook_review_seconds",
            "From the last byte of a review to its answer.",
            ["entry"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "injector_webhook_connections_refused",
            "Connections refused or closed because of a limit.",
            ["reason"],
            registry=registry,
        )
        self.connections = Gauge("injector_webhook_connections", "Open connections.", registry=registry)
        self.held_bytes = Gauge("injector_webhook_held_bytes", "Bytes of review bodies in memory.", registry=registry)
        self.synced = Gauge(
            "injector_webhook_cache_synced", "1 once the watch of a kind has been read.", ["kind"], registry=registry
        )
        self.certificate_expiry = Gauge(
            "injector_webhook_certificate_expiry_timestamp_seconds",
            "When the serving certificate expires; 0 without one.",
            registry=registry,
        )
        self._review_counter = cache(self._reviews.labels)
        self._histograms = {entry: self._seconds.labels(entry.value) for entry in Entry}
        for reason in Reason:
            self._refused.labels(reason.value)

    def reviewed(self, entry: Entry, result: Result, reason: str, seconds: float) -> None:
        """One review was answered; `reason` is a slug of the skip or refusal enum, or empty."""
        self._review_counter(entry.value, result.value, reason).inc()
        self._histograms[entry].observe(seconds)

    def refused(self, reason: Reason) -> None:
        """A limit closed a connection."""
        self._refused.labels(reason.value).inc()
