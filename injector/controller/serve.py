"""The controller process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

import structlog

from injector.controller.census import Census
from injector.controller.certificates import Certificates
from injector.controller.finder import Finder
from injector.controller.metrics import ControllerMetrics
from injector.controller.objects import serving_names
from injector.controller.roots.fleet import Fleet
from injector.controller.roots.keeper import Roots
from injector.controller.roots.plan import Policy as RootsPolicy
from injector.controller.rotation import Policy
from injector.controller.trust.distribution import Distribution
from injector.controller.trust.facts import Facts
from injector.kube.client import connect
from injector.kube.events import EventRecorder
from injector.kube.lease import Election
from injector.pki import SpiffeId
from injector.runtime import admin, logs
from injector.runtime.certified import Certified
from injector.runtime.errors import StartupError
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.limits import ADMIN
from injector.runtime.listener import Listener, bind
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation

if TYPE_CHECKING:
    from injector.controller.config import ControllerConfig
    from injector.inject.installation import Installation
    from injector.kube.client import KubeClient

ACCOUNT = "injector-controller"
LEASE = ACCOUNT
# A leaf never outlives its CA. A CA is renewed when a third of its life is left, so a leaf that fits into a third of it
# always gets its whole life.
LEAVES_PER_AUTHORITY = 3

log = structlog.get_logger(__name__)


async def serve(config: ControllerConfig) -> None:
    """Do the controller's work, while leading, until a signal; raises `StartupError` for settings that cannot work."""
    logs.configure(config.log_level, config.log_format)
    installation = read_installation(config.installation)
    read_policy(config)
    raise_descriptor_limit()
    admin_socket = bind(config.host, config.admin_port)
    identity = config.identity or socket.gethostname()

    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        registry = new_registry()
        metrics = ControllerMetrics(registry)
        election = Election(kube, namespace=config.system_namespace, name=LEASE, identity=identity)

        async def lead() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for part in _parts(kube, config, installation, metrics, identity):
                        group.create_task(part.run())
            finally:
                metrics.stood_down()

        def not_ready() -> list[str]:
            return [] if election.seen else ["the Lease has not been read yet"]

        def refresh() -> None:
            metrics.leading.set(election.leading)

        administration = Listener(admin_socket, admin.build(registry, not_ready, refresh), ADMIN)
        administration.start()
        life.background(election.run(lead))
        log.info("controller started", identity=identity, admin_port=administration.port)

        await life.until_stopped()

        await administration.close(0)
    log.info("controller stopped")


class Part(Protocol):
    """Something that the leader does all the time."""

    async def run(self) -> None:
        """Until cancelled."""


def _parts(
    kube: KubeClient, config: ControllerConfig, installation: Installation, metrics: ControllerMetrics, identity: str
) -> tuple[Part, ...]:
    """The leader's work, made anew for each term."""
    namespace, domain = config.system_namespace, installation.trust_domain
    recorder = EventRecorder(kube, component=ACCOUNT, instance=identity)
    census = Census()
    certified = Certified(config.token_directory, config.identity_address, SpiffeId(domain, namespace, ACCOUNT))
    distribution = Distribution(kube, census, metrics)
    return (
        recorder,
        Certificates(kube, namespace, read_policy(config), metrics),
        Finder(kube, installation, recorder, metrics, census),
        certified,
        distribution,
        Facts(kube, namespace, installation, distribution.describe),
        Roots(
            kube,
            namespace,
            RootsPolicy(config.root_lifetime, config.issuer_lifetime, config.propagation_delay),
            distribution,
            Fleet(kube, namespace, domain, certified, identity),
            census,
            metrics,
            given=installation.identity_given,
        ),
    )


def read_policy(config: ControllerConfig) -> Policy:
    """The certificates' policy; raises `StartupError` for lifetimes that do not fit together."""
    faults = []
    if config.certificate_lifetime * LEAVES_PER_AUTHORITY > config.ca_lifetime:
        faults.append(
            f"certificate lifetime: expected at most a third of the CA's ({config.ca_lifetime}), "
            f"got {config.certificate_lifetime}"
        )
    if config.propagation_delay * 10 > config.certificate_lifetime:
        faults.append(
            f"propagation delay: expected at most a tenth of the certificate's lifetime "
            f"({config.certificate_lifetime}), got {config.propagation_delay}"
        )
    if config.issuer_lifetime * 3 > config.root_lifetime:
        faults.append(
            f"issuer lifetime: expected at most a third of the root's ({config.root_lifetime}), "
            f"got {config.issuer_lifetime}"
        )
    if faults:
        raise StartupError(*faults)
    return Policy(
        names=serving_names(config.system_namespace),
        ca_lifetime=config.ca_lifetime,
        leaf_lifetime=config.certificate_lifetime,
        propagation_delay=config.propagation_delay,
    )
