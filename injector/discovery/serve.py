"""The discovery process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from injector import __version__
from injector.api import mesh_pb2 as pb
from injector.discovery.board import Board
from injector.discovery.cluster import Cluster
from injector.discovery.fleet import Fleet
from injector.discovery.following import Parameters
from injector.discovery.index import Index
from injector.discovery.metrics import DiscoveryMetrics
from injector.discovery.server import DiscoveryServer
from injector.discovery.watch import SLICE_SECONDS, Surroundings
from injector.kube.client import connect
from injector.pace import TokenBucket
from injector.pki import SpiffeId
from injector.runtime import admin, logs
from injector.runtime.certified import Certified
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.limits import ADMIN
from injector.runtime.listener import Listener, bind
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation
from injector.runtime.turns import Turns

if TYPE_CHECKING:
    from injector.discovery.config import DiscoveryConfig
    from injector.kube.client import KubeClient
    from injector.runtime.renewed import Material

ACCOUNT = "injector-discovery"
"""Our ServiceAccount: proxies accept no other at the other end."""
# When another issuer is wanted, our proxies renew at this rate together, some 1 % of an issuer's core: 20 proxies are
# through in seconds, and 10,000 in an hour, which is the most that the settings allow.
RENEWALS_PER_SECOND = 3.0
SOONEST_RENEWAL_SECONDS = 10.0
# After a port that could not be opened anew, for want of a descriptor for instance.
RETRY_SECONDS = 5.0
# A namespace that is refused over and over is logged, not allowed to fill the disk.
LOGGED_PER_SECOND = 10.0
LOGGED_BURST = 100.0

# A full collection looks at every object, a million with 2,000 streams: 200 ms in which nobody is answered, and
# Python's own thresholds bring it about with every scan. What was read at the start is taken out of its sight, young
# objects are collected in portions of at most 50,000 (2 ms), and full ones are left to the rarest of needs: a stream
# leaves no cycles behind (a test holds that), so there is nothing for them to find.
COLLECTOR_THRESHOLDS = (10_000, 5, 1000)

log = structlog.get_logger(__name__)


class Certificate(Protocol):
    """The process's own certificate and whom it trusts (`injector.runtime.certified.Certified` is one)."""

    def fault(self) -> str | None:
        """Why there is none that can be served with, a sentence; None where there is one."""

    def trust(self) -> pb.Trust:
        """Whom it accepts and who vouches for it, as a rotation has to know it; empty while there is none."""

    def wish(self, issuer: bytes) -> None:
        """A certificate of the issuer with this fingerprint is wanted (b"": no wish)."""

    async def material(self, other_than: Material | None) -> Material:
        """What to serve with, as soon as there is something other than this."""


async def serve(config: DiscoveryConfig) -> None:
    """Tell proxies where to go until a signal; raises `StartupError` for settings that cannot work."""
    logs.configure(config.log_level, config.log_format)
    installation = read_installation(config.installation)
    raise_descriptor_limit()
    admin_socket = bind(config.host, config.admin_port)
    subject = SpiffeId(installation.trust_domain, config.system_namespace, ACCOUNT)
    certified = Certified(config.token_directory, config.identity_address, subject)
    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        discovery = Discovery(kube, config, installation.trust_domain, certified, admin_socket)
        discovery.start(life)
        life.background(certified.run())
        log.info("discovery started", admin_port=discovery.administration.port)
        await life.until_stopped()
        log.info("draining", seconds=config.drain_delay_seconds)
        await discovery.drain()
    log.info("discovery stopped")


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
        self._served = pb.Trust()  # of the certificate that is shown; empty while the port is not open
        self._leaving = False
        self._index = Index()
        self._board = Board(self._index.resolve, loop.call_soon, loop.time)
        self._fleet = Fleet(self._index.meshed_pods, self._own)
        shared = Surroundings(
            board=self._board,
            fleet=self._fleet,
            turns=Turns(SLICE_SECONDS),
            metrics=self._metrics,
            trust_domain=trust_domain,
            parameters=self._parameters,
            synced=self._synced,
            logged=TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST),
        )
        self._server = DiscoveryServer(shared, config.system_namespace, config.host, config.port)
        self._cluster = Cluster(
            kube,
            config.system_namespace,
            self._index,
            self._board,
            on_parameters=self._server.refresh_parameters,
            on_issuer=certificate.wish,
        )
        self.administration = Listener(admin_socket, admin.build(registry, self._not_ready, self._refresh), ADMIN)

    def start(self, life: Lifecycle) -> None:
        """Watch, and serve as soon as there is something to serve and a certificate to serve it with."""
        self.administration.start()
        life.background(self._cluster.run(self._synced))
        life.background(self._open())

    async def _open(self) -> None:
        await self._synced.wait()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        served = None
        while True:
            wanted = await self._certificate.material(served)
            trust = self._certificate.trust()  # of the same certificate: nothing is waited for in between
            if not await self._server.serve(wanted):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not self._served.not_after:
                log.info("serving", port=self._server.port)
            served, self._served = wanted, trust

    async def drain(self) -> None:
        """Say that we are going, go on while the word spreads, then end the streams one by one."""
        self._leaving = True
        await asyncio.sleep(self._config.drain_delay_seconds)
        await self._server.drain(self._config.drain_seconds)
        await self.administration.close(0)

    def _parameters(self, node: str) -> Parameters:
        spread = max(SOONEST_RENEWAL_SECONDS, len(self._fleet) / RENEWALS_PER_SECOND)
        within = min(self._config.renew_within_seconds, int(spread))
        return Parameters(self._index.zone(node), self._cluster.issuer, within)

    def _own(self) -> pb.ReportResponse.Proxy:
        """What a report says of this process, in a proxy's terms."""
        return pb.ReportResponse.Proxy(
            namespace=self._config.system_namespace,
            pod=socket.gethostname(),  # in a pod the pod's name
            proxy_version=__version__,
            trust=self._served,  # what is served, not what is held: a rotation goes by it
        )

    def _not_ready(self) -> list[str]:
        unread = [kind for kind, informer in self._cluster.informers.items() if not informer.synced]
        reasons = [f"the watch of {kind} has not been read yet" for kind in unread]
        if fault := self._certificate.fault():
            reasons.append(fault)
        if not reasons and not self._served.not_after:
            reasons.append("the port is not open yet")
        if 0 < self._served.not_after <= time.time():
            reasons.append("the certificate that is served has expired")
        if self._leaving:
            reasons.append("this replica is shutting down")
        return reasons

    def _refresh(self) -> None:
        """Bring the gauges up to date."""
        self._metrics.streams.set(len(self._fleet))
        self._metrics.destinations.set(len(self._board))
        self._metrics.certificate_expiry.set(self._served.not_after)
        for kind, informer in self._cluster.informers.items():
            self._metrics.synced.labels(kind).set(informer.synced)
            self._metrics.heard.labels(kind).set(informer.heard_at)
