"""PURE. From the API server's own words to what stands between it and the webhook, and what to do about that.

The words are Go's and Kubernetes': tests/cli/checks/test_path.py has real ones, each as an API server wrote it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from injector.cli.checks.lines import Line, bad

_SYSTEM: Final = "injector-system"


class Obstacle(StrEnum):
    """What keeps the API server from a good answer of the webhook."""

    NO_SERVICE = "no-service"
    NO_PODS = "no-pods"
    NETWORK_POLICY = "network-policy"
    FIREWALL = "firewall"
    REFUSED = "connection-refused"
    UNKNOWN_AUTHORITY = "certificate-unknown-authority"
    EXPIRED = "certificate-expired"
    WRONG_NAME = "certificate-wrong-name"
    CA_BUNDLE = "ca-bundle-unreadable"
    NOT_TLS = "not-tls"
    BROKEN_CONNECTION = "broken-connection"
    TUNNEL = "control-plane-tunnel"
    SLOW = "slow"
    WRONG_ANSWER = "wrong-answer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What else is known about the way, without which a silence could be anything."""

    ready_pods: int
    webhook_port: int
    blocking_policies: tuple[str, ...] = ()
    admin_answers: bool | None = None
    """Whether the API server reaches the same pods on their admin port (its pod proxy); None: not tried."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The obstacle, what it means here, and what to do."""

    obstacle: Obstacle
    meaning: str
    remedy: tuple[str, ...]

    def line(self, message: str) -> Line:
        """The finding, with the API server's own words as its detail."""
        text = f"the API server gets no answer from the webhook: {self.meaning} ({self.obstacle})"
        return bad(text, *self.remedy, details=(message,))


_PHRASES: Final[dict[Obstacle, tuple[str, ...]]] = {
    Obstacle.NO_SERVICE: (r'service "[^"]*" not found',),
    Obstacle.NO_PODS: (r"no endpoints available for service",),
    Obstacle.EXPIRED: (r"x509: certificate has expired or is not yet valid",),
    Obstacle.UNKNOWN_AUTHORITY: (r"x509: certificate signed by unknown authority", r"unknown certificate authority"),
    Obstacle.WRONG_NAME: (
        r"x509: certificate is (not )?valid for",
        r"x509: certificate is not authorized to sign",
        r"x509: certificate relies on legacy Common Name",
        r"x509: cannot validate certificate",
    ),
    Obstacle.CA_BUNDLE: (r"unable to load root certificates", r"unable to parse bytes as PEM"),
    Obstacle.NOT_TLS: (r"does not look like a TLS handshake", r"server gave HTTP response to HTTPS client"),
    Obstacle.TUNNEL: (
        r"no agent available",
        r"dial timeout, backstop",
        r"proxy error from",
        r"address is not allowed",
        r"error dialing backend",
    ),
    Obstacle.WRONG_ANSWER: (
        r"received invalid webhook response",
        r"expected webhook response",
        r"couldn't get version/kind",
        r"could not find the requested resource",
        r"has prevented the request from succeeding",
        r"currently unable to handle the request",
    ),
    Obstacle.REFUSED: (r"connection refused",),
    Obstacle.FIREWALL: (r"no route to host", r"network is unreachable", r"i/o timeout", r"connection timed out"),
    Obstacle.SLOW: (
        r"context deadline exceeded",
        r"request canceled",
        r"Client\.Timeout",
        r"unable to return a response in the time allotted",
    ),
    Obstacle.BROKEN_CONNECTION: (r"\bEOF\b", r"connection reset by peer", r"broken pipe", r"remote error: tls"),
}
"""In this order: the more telling first, for a message may have several (a proxy error that ends in a timeout)."""

_PATTERNS: Final = {obstacle: re.compile("|".join(some), re.IGNORECASE) for obstacle, some in _PHRASES.items()}


def diagnose(message: str, facts: PathFacts) -> Diagnosis:
    """What the API server's message about a failed webhook call means, given what else is known."""
    found = next((obstacle for obstacle, pattern in _PATTERNS.items() if pattern.search(message)), Obstacle.UNKNOWN)
    return _MEANINGS[_refine(found, facts)](facts)


def _refine(found: Obstacle, facts: PathFacts) -> Obstacle:
    """Silence and refusal say little by themselves: packets that are dropped look the same, whoever drops them."""
    if found not in {Obstacle.SLOW, Obstacle.FIREWALL, Obstacle.REFUSED}:
        return found
    if facts.ready_pods == 0:
        return Obstacle.NO_PODS
    if facts.blocking_policies:
        return Obstacle.NETWORK_POLICY
    if found is Obstacle.SLOW and facts.admin_answers is not True:
        return Obstacle.FIREWALL
    return found


def _said(obstacle: Obstacle, meaning: str, *remedy: str) -> Callable[[PathFacts], Diagnosis]:
    """A meaning that takes its numbers from the facts: {port}, {policies}."""

    def diagnosis(facts: PathFacts) -> Diagnosis:
        known = {"port": facts.webhook_port, "policies": ", ".join(facts.blocking_policies), "system": _SYSTEM}
        return Diagnosis(obstacle, meaning.format_map(known), tuple(line.format_map(known) for line in remedy))

    return diagnosis


_LOGS: Final = "kubectl logs -n {system} deployment/injector-"
_REPAIR: Final = f"the controller repairs certificates within a minute; if this stays: {_LOGS}controller"
INSTALL_AGAIN: Final = "injector install OPTIONS | kubectl apply -f - (those of before: they are not remembered)"
"""For whoever has installed it: the plain command would take the installation's options away."""

_MEANINGS: Final[dict[Obstacle, Callable[[PathFacts], Diagnosis]]] = {
    obstacle: _said(obstacle, meaning, *remedy)
    for obstacle, meaning, *remedy in (
        (
            Obstacle.NO_SERVICE,
            "the Service injector-webhook is missing",
            f"install the mesh again: {INSTALL_AGAIN}",
        ),
        (
            Obstacle.NO_PODS,
            "no webhook pod is ready",
            "kubectl get pods -n {system}; kubectl describe deployment -n {system} injector-webhook",
        ),
        (
            Obstacle.NETWORK_POLICY,
            "NetworkPolicies isolate the webhook's pods and none opens port {port} to the API server: {policies}",
            f"install the mesh again, its policies open the port: {INSTALL_AGAIN}",
        ),
        (
            Obstacle.FIREWALL,
            "packets to port {port} of its pods are lost on the way, though the pods are ready: a firewall",
            "let the control plane reach TCP port {port} of the pods (private control planes: a firewall rule)",
            f"or take a port that is open: {INSTALL_AGAIN.replace('install', 'install --webhook-port 10250', 1)}",
        ),
        (
            Obstacle.REFUSED,
            "connections to port {port} are refused, though the pods are ready",
            "a firewall that rejects, or a Service that leads elsewhere? kubectl get endpointslices -n {system}",
        ),
        (Obstacle.UNKNOWN_AUTHORITY, "caBundle does not fit the certificate that is served", _REPAIR),
        (
            Obstacle.EXPIRED,
            "the certificate that is served is out of date, or a clock is wrong",
            _REPAIR,
            "compare the clocks of the control plane and the nodes",
        ),
        (Obstacle.WRONG_NAME, "the certificate is for another name: something else answers there", _REPAIR),
        (Obstacle.CA_BUNDLE, "caBundle is no PEM certificate", _REPAIR),
        (
            Obstacle.NOT_TLS,
            "what answers there does not speak TLS: another program, or the wrong port",
            "kubectl get service,endpointslices -n {system}",
        ),
        (
            Obstacle.TUNNEL,
            "the control plane's tunnel to the nodes is down, or does not allow pods' addresses",
            "look at the tunnel's agents (konnectivity, or your provider's)",
            f"where it cannot reach pods at all: {INSTALL_AGAIN.replace('install', 'install --host-network', 1)}",
        ),
        (Obstacle.SLOW, "it answers too late", f"kubectl top pods -n {{system}}; {_LOGS}webhook"),
        (
            Obstacle.BROKEN_CONNECTION,
            "the connection breaks: something in between, or pods that end just now",
            "try again; kubectl get pods -n {system}",
        ),
        (Obstacle.WRONG_ANSWER, "something answers, but not with a review", f"{_LOGS}webhook"),
        (Obstacle.UNKNOWN, "for a reason that is not known here", f"{_LOGS}webhook"),
    )
}
