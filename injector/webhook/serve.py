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
from injector.webhook import app
from injector.webhook.certificate import ServingCertificate
from injector.webhook.directory import ClusterDirectory
from injector.webhook.handler import Handler
from injector.webhook.metrics import WebhookMetrics
from injector.webhook.turns import Turns

if TYPE_CHECKING:
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
    review_socket, admin_socket = bind(config.host, config.port), bind(config.host, config.admin_port)

    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        registry = new_registry()
        metrics = WebhookMetrics(registry)
        directory = ClusterDirectory(kube)
        certificate = ServingCertificate(kube, config.system_namespace, SERVING_SECRET)
        handler = Handler(installation, directory)
        log_allowance = TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST)
        reviews = Listener(
            review_socket,
            app.build(handler, directory.fetch, Turns(), metrics, log_allowance),
            REVIEWS,
            tls=certificate.context,
            refused=metrics.refused,
        )
        leaving = asyncio.Event()

        def not_ready() -> list[str]:
            unread = [kind for kind, informer in directory.informers.items() if not informer.synced]
            reasons = [f"the watch of {kind} has not been read yet" for kind in unread]
            if fault := certificate.fault():
                reasons.append(fault)
            if leaving.is_set():
                reasons.append("this replica is shutting down")
            return reasons

        def refresh() -> None:
            metrics.connections.set(reviews.gate.total)
            metrics.held_bytes.set(reviews.gate.held)
            metrics.certificate_expiry.set(certificate.expiry)
            for kind, informer in directory.informers.items():
                metrics.synced.labels(kind).set(informer.synced)

        administration = Listener(admin_socket, admin.build(registry, not_ready, refresh), ADMIN)
        for informer in (certificate.informer, *directory.informers.values()):
            life.background(informer.run())
        administration.start()
        reviews.start()
        log.info("webhook started", port=reviews.port, admin_port=administration.port)

        await life.until_stopped()

        log.info("draining", seconds=config.drain_delay_seconds)
        leaving.set()
        reviews.ask_to_leave()
        await asyncio.sleep(config.drain_delay_seconds)
        await reviews.close(DRAIN_SECONDS)
        await administration.close(0)
    log.info("webhook stopped")
