"""Discovery's metrics. Every label's values come from an enum: nothing a proxy says becomes a label."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Proxies acknowledge in batches of 0.1 s; the aim for the 99th percentile is 1 s.
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Reason(StrEnum):
    """Why a stream was refused or ended by us, or a destination not followed; the label of the metric."""

    NO_IDENTITY = "no-identity"
    CERTIFICATE_EXPIRED = "certificate-expired"
    NO_HELLO = "no-hello"
    HELLO_TOO_LATE = "hello-too-late"
    WRONG_IDENTITY = "wrong-identity"
    MALFORMED = "malformed"
    TOO_MANY_STREAMS = "too-many-streams"
    REPLACED = "replaced"
    NOT_THE_CONTROLLER = "not-the-controller"
    TOO_MANY_DESTINATIONS = "too-many-destinations"


class Form(StrEnum):
    """How a destination was told."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"


class DiscoveryMetrics:
    """Registered in `registry`; methods are what the parts of discovery report."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("injector_discovery_streams", "Proxies whose stream is open.", registry=registry)
        self.destinations = Gauge(
            "injector_discovery_destinations", "Destinations that somebody follows.", registry=registry
        )
        self.synced = Gauge("injector_discovery_synced", "1 once a kind was read.", ["kind"], registry=registry)
        self.heard = Gauge(
            "injector_discovery_last_heard_timestamp_seconds",
            "When the API server last said anything of a kind, if only that nothing changed.",
            ["kind"],
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "injector_discovery_certificate_expiry_timestamp_seconds",
            "When the serving certificate expires; 0 where there is none.",
            registry=registry,
        )
        self._messages = Counter(
            "injector_discovery_messages", "Destinations told to proxies, by form.", ["form"], registry=registry
        )
        self._refusals = Counter(
            "injector_discovery_refusals",
            "Streams refused or ended, and destinations not followed, by why.",
            ["reason"],
            registry=registry,
        )
        self._update_seconds = Histogram(
            "injector_discovery_update_seconds",
            "From a change seen to a proxy's acknowledgement that it uses it.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for reason in Reason:
            self._refusals.labels(reason.value)
        self._sent = {form: self._messages.labels(form.value) for form in Form}

    def refused(self, reason: Reason) -> None:
        """A stream or a destination was refused."""
        self._refusals.labels(reason.value).inc()

    def sent(self, form: Form) -> None:
        """A destination was told."""
        self._sent[form].inc()

    def acknowledged(self, seconds: float) -> None:
        """A proxy uses a change, this long after it was seen."""
        self._update_seconds.observe(seconds)
