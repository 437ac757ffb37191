"""The discovery process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from injector.discovery.board import Board
from injector.discovery.cluster import Cluster
from injector.discovery.fleet import Fleet
from injector.discovery.following import Parameters
from injector.discovery.index import Index
from injector.discovery.metrics import DiscoveryMetrics
from injector.discovery.server import DiscoveryServer
from injector.discovery.watch import Surroundings
from injector.pace import TokenBucket
from injector.runtime import admin
from injector.runtime.limits import ADMIN
from injector.runtime.listener import Listener
from injector.runtime.metrics import new_registry
from injector.runtime.turns import Turns

if TYPE_CHECKING:
    import socket

    import grpc

    from injector.discovery.config import DiscoveryConfig
    from injector.kube.client import KubeClient
    from injector.runtime.lifecycle import Lifecycle

# A namespace that is refused over and over is logged, not allowed to fill the disk.
LOGGED_PER_SECOND = 10.0
LOGGED_BURST = 100.0

log = structlog.get_logger(__name__)


class Certificate(Protocol):
    """The process's own certificate and whom it trusts."""

    @property
    def expiry(self) -> float:
        """End of its validity (seconds since 1970); 0 while there is none."""

    def fault(self) -> str | None:
        """Why there is none that can be served with, a sentence; None where there is one."""

    async def wait(self) -> None:
        """Return once there is one."""

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials that always serve the newest, and demand one of the client."""


class Discovery:
    """The parts of the process, wired together."""

    def __init__(
        self,
        kube: KubeClient,
        config: DiscoveryConfig,
        trust_domain: str,
        certificate: Certificate,
        admin_socket: socket.socket,
    ) -> None:
        registry = new_registry()
        loop = asyncio.get_running_loop()
        self._config = config
        self._certificate = certificate
        self._metrics = DiscoveryMetrics(registry)
        self._synced = asyncio.Event()
        self._serving = False
        self._leaving = False
        self._index = Index()
        self._board = Board(self._index.resolve, loop.call_soon, loop.time)
        self._fleet = Fleet(self._index.meshed_pods)
        shared = Surroundings(
            board=self._board,
            fleet=self._fleet,
            turns=Turns(),
            metrics=self._metrics,
            trust_domain=trust_domain,
            parameters=self._parameters,
            synced=self._synced,
            logged=TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST),
        )
        self._server = DiscoveryServer(shared, config.system_namespace)
        self._cluster = Cluster(
            kube, config.system_namespace, self._index, self._board, self._server.refresh_parameters
        )
        self.administration = Listener(admin_socket, admin.build(registry, self._not_ready, self._refresh), ADMIN)

    def start(self, life: Lifecycle) -> None:
        """Watch, and serve as soon as there is something to serve and a certificate to serve it with."""
        self.administration.start()
        life.background(self._cluster.run(self._synced))
        life.background(self._open())

    async def _open(self) -> None:
        await self._synced.wait()
        await self._certificate.wait()
        port = self._server.bind(self._config.host, self._config.port, self._certificate.server_credentials())
        await self._server.start()
        self._serving = True
        log.info("serving", port=port)

    async def drain(self) -> None:
        """Say that we are going, go on while the word spreads, then end the streams one by one."""
        self._leaving = True
        await asyncio.sleep(self._config.drain_delay_seconds)
        await self._server.drain(self._config.drain_seconds)
        await self.administration.close(0)

    def _parameters(self, node: str) -> Parameters:
        return Parameters(self._index.zone(node), self._cluster.issuer, self._config.renew_within_seconds)

    def _not_ready(self) -> list[str]:
        unread = [kind for kind, informer in self._cluster.informers.items() if not informer.synced]
        reasons = [f"the watch of {kind} has not been read yet" for kind in unread]
        if fault := self._certificate.fault():
            reasons.append(fault)
        if not reasons and not self._serving:
            reasons.append("the port is not open yet")
        if self._leaving:
            reasons.append("this replica is shutting down")
        return reasons

    def _refresh(self) -> None:
        """Bring the gauges up to date."""
        self._metrics.streams.set(len(self._fleet))
        self._metrics.destinations.set(len(self._board))
        self._metrics.certificate_expiry.set(self._certificate.expiry)
        for kind, informer in self._cluster.informers.items():
            self._metrics.synced.labels(kind).set(informer.synced)
            self._metrics.heard.labels(kind).set(informer.heard_at)
