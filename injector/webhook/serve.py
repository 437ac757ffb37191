"""The webhook process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from injector.kube.client import connect
from injector.pace import TokenBucket
from injector.runtime import admin, logs
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.limits import ADMIN, REVIEWS
from injector.runtime.listener import Listener, bind
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation
from injector.runtime.turns import Turns
from injector.webhook import app
from injector.webhook.certificate import ServingCertificate
from injector.webhook.directory import ClusterDirectory
from injector.webhook.handler import Handler
from injector.webhook.metrics import WebhookMetrics

if TYPE_CHECKING:
    import socket

    from injector.inject.installation import Installation
    from injector.kube.client import KubeClient
    from injector.webhook.config import WebhookConfig

SERVING_SECRET = "injector-webhook-tls"  # noqa: S105 - the name of a Secret, not its content
# A rollout of some hundred pods is logged whole; a flood is not.
LOGGED_PER_SECOND = 100.0
LOGGED_BURST = 500.0
# In flight at SIGTERM are reviews of at most 5 s.
DRAIN_SECONDS = 6.0

log = structlog.get_logger(__name__)


async def serve(config: WebhookConfig) -> None:
    """Serve reviews until a signal; raises `StartupError` for settings that cannot work."""
    logs.configure(config.log_level, config.log_format)
    installation = read_installation(config.installation)
    raise_descriptor_limit()
    sockets = bind(config.host, config.port), bind(config.host, config.admin_port)

    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        webhook = Webhook(kube, config.system_namespace, installation, *sockets)
        webhook.start(life)
        log.info("webhook started", port=webhook.reviews.port, admin_port=webhook.administration.port)
        await life.until_stopped()
        log.info("draining", seconds=config.drain_delay_seconds)
        await webhook.drain(config.drain_delay_seconds)
    log.info("webhook stopped")


class Webhook:
    """The parts of the process, wired together."""

    def __init__(
        self,
        kube: KubeClient,
        system_namespace: str,
        installation: Installation,
        review_socket: socket.socket,
        admin_socket: socket.socket,
    ) -> None:
        registry = new_registry()
        self._metrics = WebhookMetrics(registry)
        self._directory = ClusterDirectory(kube)
        self._certificate = ServingCertificate(kube, system_namespace, SERVING_SECRET)
        self._leaving = False
        application = app.build(
            Handler(installation, self._directory),
            self._directory.fetch,
            Turns(),
            self._metrics,
            TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST),
        )
        self.reviews = Listener(
            review_socket, application, REVIEWS, tls=self._certificate.context, refused=self._metrics.refused
        )
        self.administration = Listener(admin_socket, admin.build(registry, self._not_ready, self._refresh), ADMIN)

    def start(self, life: Lifecycle) -> None:
        """Watch and accept."""
        for informer in (self._certificate.informer, *self._directory.informers.values()):
            life.background(informer.run())
        self.administration.start()
        self.reviews.start()

    async def drain(self, delay_seconds: float) -> None:
        """Say that we are going, go on answering while the word spreads, and finish what is in flight."""
        self._leaving = True
        self.reviews.ask_to_leave()
        await asyncio.sleep(delay_seconds)
        await self.reviews.close(DRAIN_SECONDS)
        await self.administration.close(0)

    def _not_ready(self) -> list[str]:
        unread = [kind for kind, informer in self._directory.informers.items() if not informer.synced]
        reasons = [f"the watch of {kind} has not been read yet" for kind in unread]
        if fault := self._certificate.fault():
            reasons.append(fault)
        if self._leaving:
            reasons.append("this replica is shutting down")
        return reasons

    def _refresh(self) -> None:
        """Bring the gauges up to date."""
        self._metrics.connections.set(self.reviews.gate.total)
        self._metrics.held_bytes.set(self.reviews.gate.held)
        self._metrics.certificate_expiry.set(self._certificate.expiry)
        for kind, informer in self._directory.informers.items():
            self._metrics.synced.labels(kind).set(informer.synced)
