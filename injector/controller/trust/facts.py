"""Gathers what `mesh.json` says: the addresses of the Services, and the cluster's ranges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from injector.controller.trust.content import mesh_json
from injector.controller.trust.networks import networks
from injector.kube.errors import KubeError, NotFound
from injector.kube.informer import Informer, Selection
from injector.kube.resources import NODES, SERVICES, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.inject.installation import Installation
    from injector.kube.client import KubeClient, Object

IDENTITY = "injector-identity"
DISCOVERY = "injector-discovery"
SERVICE_CIDRS = Resource("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", namespaced=False)

# Nodes come in batches; each change of the ranges is written into every namespace.
GATHER_SECONDS = 5.0
# Service ranges are added by hand, once in a cluster's life; clusters before 1.33 do not have the kind.
SERVICE_RANGES_SECONDS = 300.0
NO_ADDRESS = frozenset({"", "None"})

log = structlog.get_logger(__name__)


class Facts:
    """Run `run` while leading; make a new one for each term. `describe` gets `mesh.json`, again whenever it changes."""

    def __init__(
        self, kube: KubeClient, namespace: str, installation: Installation, describe: Callable[[str], None]
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._installation = installation
        self._describe = describe
        self._changed = asyncio.Event()
        self._service_ranges: list[str] = []
        self._services: Informer[tuple[str, ...]] = Informer(
            kube, Selection(SERVICES, namespace=namespace), project_service, lambda *_: self._changed.set()
        )
        self._nodes: Informer[tuple[str, ...]] = Informer(
            kube, Selection(NODES), project_node, lambda *_: self._changed.set()
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run())
            await self._services.wait_synced()
            if not self._installation.networks:
                group.create_task(self._nodes.run())
                await self._nodes.wait_synced()
                await self._read_service_ranges()
                group.create_task(self._follow_service_ranges())
            while True:
                self._changed.clear()
                self._tell()
                await self._changed.wait()
                await asyncio.sleep(GATHER_SECONDS)

    def _tell(self) -> None:
        identity, discovery = (self._services.items.get((self._namespace, name), ()) for name in (IDENTITY, DISCOVERY))
        if not identity or not discovery:
            log.warning("a Service has no address yet", namespace=self._namespace, services=[IDENTITY, DISCOVERY])
            return
        ranges = list(self._installation.networks) or networks(
            (text for ranges in self._nodes.items.values() for text in ranges),
            self._service_ranges,
            (*identity, *discovery),
        )
        domain = self._installation.trust_domain
        self._describe(mesh_json(domain, self._namespace, identity, discovery, ranges))

    async def _follow_service_ranges(self) -> None:
        while True:
            await asyncio.sleep(SERVICE_RANGES_SECONDS)
            await self._read_service_ranges()

    async def _read_service_ranges(self) -> None:
        found: list[str] = []
        try:
            async for item in self._kube.list(SERVICE_CIDRS):
                found += item["spec"].get("cidrs") or ()
        except NotFound:
            return
        except KubeError as error:
            log.warning("cannot read the Service ranges", error=str(error))
            return
        if found != self._service_ranges:
            self._service_ranges = found
            self._changed.set()


def project_service(item: Object) -> tuple[str, ...]:
    """Of a Service: its own addresses."""
    spec = item["spec"]
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    return tuple(address for address in addresses if address not in NO_ADDRESS)


def project_node(item: Object) -> tuple[str, ...]:
    """Of a node: the ranges that its pods' addresses are from."""
    spec = item["spec"]
    return tuple(spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")]))
