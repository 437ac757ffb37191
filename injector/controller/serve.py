"""The controller process: parse, build, announce, run, drain."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import structlog

from injector.controller.certificates import Certificates
from injector.controller.finder import Finder
from injector.controller.metrics import ControllerMetrics
from injector.controller.objects import serving_names
from injector.controller.rotation import Policy
from injector.kube.client import connect
from injector.kube.events import EventRecorder
from injector.kube.lease import Election
from injector.runtime import admin, logs
from injector.runtime.errors import StartupError
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.limits import ADMIN
from injector.runtime.listener import Listener, bind
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation

if TYPE_CHECKING:
    from injector.controller.config import ControllerConfig

LEASE = "injector-controller"
# A leaf never outlives its CA. A CA is renewed when a third of its life is left, so a leaf that fits into a third of it
# always gets its whole life.
LEAVES_PER_AUTHORITY = 3

log = structlog.get_logger(__name__)


async def serve(config: ControllerConfig) -> None:
    """Do the controller's work, while leading, until a signal; raises `StartupError` for settings that cannot work."""
    logs.configure(config.log_level, config.log_format)
    installation = read_installation(config.installation)
    policy = read_policy(config)
    raise_descriptor_limit()
    admin_socket = bind(config.host, config.admin_port)
    identity = config.identity or socket.gethostname()

    async with connect(kubeconfig=config.kubeconfig, context=config.context) as kube, Lifecycle() as life:
        registry = new_registry()
        metrics = ControllerMetrics(registry)
        election = Election(kube, namespace=config.system_namespace, name=LEASE, identity=identity)

        async def lead() -> None:
            recorder = EventRecorder(kube, component="injector-controller", instance=identity)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(recorder.run())
                    group.create_task(Certificates(kube, config.system_namespace, policy, metrics).run())
                    group.create_task(Finder(kube, installation, recorder, metrics).run())
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
    if faults:
        raise StartupError(*faults)
    return Policy(
        names=serving_names(config.system_namespace),
        ca_lifetime=config.ca_lifetime,
        leaf_lifetime=config.certificate_lifetime,
        propagation_delay=config.propagation_delay,
    )
