"""The controller's metrics. Every label's values come from an enum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from injector.controller.roots.plan import Phase
from injector.controller.roots.plan import Step as RootStep
from injector.controller.rotation import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from injector.controller.roots.record import Rotation
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
        self._identity_expiry = Gauge(
            "injector_controller_identity_expiry_timestamp_seconds",
            "When the mesh's roots and the issuer expire, the soonest of each kind; absent where there is none.",
            ["certificate"],
            registry=registry,
        )
        self._root_steps = Counter(
            "injector_controller_root_steps", "Changes made to roots and issuer.", ["step"], registry=registry
        )
        for root_step in RootStep:
            self._root_steps.labels(root_step.value)
        self._rotation = Gauge(
            "injector_controller_rotation", "1 for the phase that a rotation is in.", ["phase"], registry=registry
        )
        self._laggards = Gauge(
            "injector_controller_rotation_laggards", "Pods that the rotation waits for.", registry=registry
        )
        self._rotation_since = Gauge(
            "injector_controller_rotation_phase_start_timestamp_seconds",
            "When the rotation's phase began; 0 where none runs.",
            registry=registry,
        )
        self.trust_pending = Gauge(
            "injector_controller_trust_namespaces_pending",
            "Namespaces whose ConfigMap with the roots is to be written or removed.",
            registry=registry,
        )
        self.trust_failures = Counter(
            "injector_controller_trust_write_failures",
            "Writes of a namespace's ConfigMap that the API server refused or did not answer.",
            registry=registry,
        )

    def stood_down(self) -> None:
        """Another replica leads now: what this one last saw is not news any more."""
        self.contested.set(0)
        self.unmeshed.clear()
        self._expiry.clear()
        self._identity_expiry.clear()
        self.trust_pending.set(0)
        self.rotating(None)

    def certificates(self, authority: Certificate | None, leaf: Certificate | None) -> None:
        """What was observed."""
        for name, certificate in (("authority", authority), ("serving", leaf)):
            self._expiry.labels(name).set(certificate.not_after.timestamp() if certificate else 0)

    def stepped(self, step: Step) -> None:
        """One change was made."""
        self._steps.labels(step.value).inc()

    def roots(self, roles: Iterable[tuple[Certificate, str]], issuer: Certificate | None) -> None:
        """What was observed of roots, each with its role, and of the issuer."""
        ends = {"issuer": issuer.not_after.timestamp()} if issuer else {}
        for root, role in roles:
            name, end = f"{role}-root", root.not_after.timestamp()
            ends[name] = min(ends.get(name, end), end)
        self._identity_expiry.clear()  # what is gone is not to be taken for expired
        for name, end in ends.items():
            self._identity_expiry.labels(name).set(end)

    def rotating(self, rotation: Rotation | None) -> None:
        """The rotation that runs, if one does."""
        for phase in Phase:
            if phase is not Phase.DONE:
                self._rotation.labels(phase.value).set(rotation is not None and rotation.phase is phase)
        self._laggards.set(rotation.behind if rotation else 0)
        self._rotation_since.set(rotation.since.timestamp() if rotation else 0)

    def root_stepped(self, step: RootStep) -> None:
        """One change was made to roots or issuer."""
        self._root_steps.labels(step.value).inc()
