"""The issuer's metrics. Every label's values come from an enum: nothing a pod says becomes a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from injector.identity.refusals import Reason

# A review of a token is some 3 ms, a signature 0.5 ms; proxies wait for 10 s at most.
LATENCY_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class IdentityMetrics:
    """Registered in `registry`; methods are what the parts of the issuer report."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leading = Gauge("injector_identity_leading", "1 on the replica that keeps the key.", registry=registry)
        self.issuer_expiry = Gauge(
            "injector_identity_issuer_expiry_timestamp_seconds",
            "When the issuer's certificate expires; 0 where there is none.",
            registry=registry,
        )
        self.serving_expiry = Gauge(
            "injector_identity_serving_expiry_timestamp_seconds",
            "When the certificate that this replica serves with expires; 0 where there is none.",
            registry=registry,
        )
        self._certificates = Counter("injector_identity_certificates", "Certificates given to pods.", registry=registry)
        self._refusals = Counter(
            "injector_identity_refusals", "Requests for certificates refused, by why.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            "injector_identity_certify_seconds",
            "From a request for a certificate to its answer.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for reason in Reason:
            self._refusals.labels(reason.value)

    def certified(self, seconds: float) -> None:
        """A certificate was given, this long after it was asked for."""
        self._certificates.inc()
        self._seconds.observe(seconds)

    def refused(self, reason: Reason) -> None:
        """A request was refused."""
        self._refusals.labels(reason.value).inc()
