"""The controller's metrics. Every label's values come from an enum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from injector.controller.rotation import Step

if TYPE_CHECKING:
    from injector.pki import Certificate


class ControllerMetrics:
    """Registered in `registry`; methods are what the parts of the controller report."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leading = Gauge("injector_controller_leading", "1 on the replica that does the work.", registry=registry)
        self.contested = Gauge(
            "injector_controller_bundle_contested", "1 while somebody else keeps changing caBundle.", registry=registry
        )
        self.unmeshed = Gauge(
            "injector_controller_unmeshed_pods",
            "Opted-in pods that run without a proxy, by why.",
            ["reason"],
            registry=registry,
        )
        self._expiry = Gauge(
            "injector_controller_certificate_expiry_timestamp_seconds",
            "When the CA and the serving certificate expire; 0 where there is none.",
            ["certificate"],
            registry=registry,
        )
        self._steps = Counter(
            "injector_controller_certificate_steps", "Changes made to certificates.", ["step"], registry=registry
        )
        for step in Step:
            self._steps.labels(step.value)

    def stood_down(self) -> None:
        """Another replica leads now: what this one last saw is not news any more."""
        self.contested.set(0)
        self.unmeshed.clear()
        self._expiry.clear()

    def certificates(self, authority: Certificate | None, leaf: Certificate | None) -> None:
        """What was observed."""
        for name, certificate in (("authority", authority), ("serving", leaf)):
            self._expiry.labels(name).set(certificate.not_after.timestamp() if certificate else 0)

    def stepped(self, step: Step) -> None:
        """One change was made."""
        self._steps.labels(step.value).inc()
