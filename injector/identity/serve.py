"""The identity process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from injector.identity.issuer import Issuer
from injector.identity.keeper import Keeper
from injector.identity.metrics import IdentityMetrics
from injector.identity.server import IdentityServer
from injector.identity.serving import SERVICE, ServingCertificate
from injector.identity.tokens import TokenReviewer
from injector.kube.client import connect
from injector.kube.lease import Election
from injector.pki import SpiffeId
from injector.runtime import admin, logs
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.limits import ADMIN
from injector.runtime.listener import Listener, bind
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation
from injector.runtime.turns import Turns

if TYPE_CHECKING:
    from injector.identity.config import IdentityConfig
    from injector.inject.installation import Installation
    from injector.kube.client import KubeClient

LEASE: Final = "injector-identity"
DRAIN_SECONDS: Final = 5.0
"""For calls in progress: a token's review, and a signature."""
LOOK_SECONDS: Final = 15.0
"""How often the serving certificate is looked at; a life of minutes is for tests."""

log = structlog.get_logger(__name__)


async def serve(config: IdentityConfig) -> None:
    """Certify until a signal; raises `StartupError` for settings that cannot work."""
    logs.configure(config.log_level, config.log_format)
    installation = read_installation(config.installation)
    raise_descriptor_limit()
    admin_socket = bind(config.host, config.admin_port)

    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        identity = Identity(kube, config, installation, admin_socket)
        identity.start(life)
        await life.until_stopped()
        await identity.drain()
    log.info("identity stopped")


class Identity:
    """The parts of the process, wired together."""

    def __init__(
        self, kube: KubeClient, config: IdentityConfig, installation: Installation, admin_socket: socket.socket
    ) -> None:
        registry = new_registry()
        self._kube = kube
        self._config = config
        self._given = installation.identity_given
        self._metrics = IdentityMetrics(registry)
        self._changed = asyncio.Event()
        self._keeper_changed = asyncio.Event()
        self._issuer = Issuer(kube, config.system_namespace, self._on_change)
        me = SpiffeId(installation.trust_domain, config.system_namespace, SERVICE)
        self._certificate = ServingCertificate(me, config.certificate_lifetime)
        self._server = IdentityServer(
            config.host,
            config.port,
            TokenReviewer(kube, installation.trust_domain),
            lambda: self._issuer.signer,
            config.certificate_lifetime,
            Turns(),
            self._metrics,
            _now,
        )
        name = config.identity or socket.gethostname()
        self._election = Election(kube, namespace=config.system_namespace, name=LEASE, identity=name)
        self._serving_until = 0.0  # seconds since 1970; 0 while the port is not open
        self._leaving = False
        self.administration = Listener(admin_socket, admin.build(registry, self._not_ready, self._refresh), ADMIN)

    def start(self, life: Lifecycle) -> None:
        """Watch the issuer, keep it while leading, and serve as soon as there is one."""
        self.administration.start()
        log.info("identity started", admin_port=self.administration.port, given=self._given)
        life.background(self._issuer.run())
        life.background(self._open())
        if not self._given:  # an issuer that was given is its giver's to renew
            life.background(self._election.run(self._lead))

    async def drain(self) -> None:
        """Say that we are going, go on while the word spreads, then finish what is in progress."""
        self._leaving = True
        await asyncio.sleep(self._config.drain_delay_seconds)
        await self._server.stop(DRAIN_SECONDS)
        await self.administration.close(0)

    async def _lead(self) -> None:
        await Keeper(self._kube, self._config.system_namespace, self._issuer, self._keeper_changed).run()

    def _on_change(self) -> None:
        self._changed.set()
        self._keeper_changed.set()

    async def _open(self) -> None:
        """Serve once there is an issuer, and keep the certificate that we serve with fresh."""
        while True:
            self._changed.clear()
            signer = self._issuer.signer
            if signer is not None and self._certificate.renew(signer, _now()):
                log.info("serving certificate made", issuer=signer.certificate.id)
            material, expiry = self._certificate.material, self._certificate.expiry
            if material is not None and await self._server.serve(material):
                if not self._serving_until:
                    log.info("serving", port=self._server.port)
                self._serving_until = expiry
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _not_ready(self) -> list[str]:
        reasons = self._issuer.faults()
        if not reasons and not self._serving_until:
            reasons.append("the port is not open yet")
        if 0 < self._serving_until <= time.time():
            reasons.append("the certificate that is served has expired")
        if self._leaving:
            reasons.append("this replica is shutting down")
        return reasons

    def _refresh(self) -> None:
        """Bring the gauges up to date."""
        signer = self._issuer.kept.signer
        self._metrics.leading.set(self._election.leading)
        self._metrics.issuer_expiry.set(signer.certificate.not_after.timestamp() if signer else 0)
        self._metrics.serving_expiry.set(self._serving_until)


def _now() -> datetime:
    return datetime.now(UTC)
