"""The cluster that discovery watches: namespaces of Services, each with its pods and its EndpointSlice. No node runs;
pods are objects with an address, and slices are written by us, so that the moment of a write is known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from benches.progress import BenchError
from injector.discovery.records import OPAQUE_PORTS, SERVICE_NAME_LABEL, SPEAKS_TLS
from injector.inject.names import PROXY_CONTAINER
from injector.kube.client import MERGE_PATCH
from injector.kube.errors import NotFound
from injector.kube.resources import ENDPOINT_SLICES, NAMESPACES, PODS, SERVICE_ACCOUNTS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from injector.kube.client import KubeClient

NAMESPACE_COUNT = 20
SERVICE_COUNT = 1000
ENDPOINT_COUNT = 10
PORT = 80
TARGET_PORT = 8080
# The API server and etcd share a core with this program: more at once does not go faster.
AT_ONCE = 16
_FIRST_ADDRESS = IPv4Address("10.244.0.1")
_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Backend:
    """One Service with its pods' addresses, as last written."""

    namespace: str
    name: str
    cluster_ip: str = ""
    addresses: dict[str, str] = field(default_factory=dict)
    """Pod -> its address."""
    uids: dict[str, str] = field(default_factory=dict)


class Objects:
    """Makes them, and rolls one over."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._addresses = iter(range(int(_FIRST_ADDRESS), int(_FIRST_ADDRESS) + 2**16))
        self.backends = [
            Backend(f"shop-{index % NAMESPACE_COUNT}", f"service-{index}") for index in range(SERVICE_COUNT)
        ]

    async def create(self) -> None:
        """Everything; some 31,000 writes."""
        for namespace in sorted({backend.namespace for backend in self.backends}):
            await self._kube.create(NAMESPACES, _object("v1", "Namespace", namespace))
        await self._service_accounts()
        await self._all(self._backend(backend) for backend in self.backends)

    def skip_addresses(self, count: int) -> None:
        """Leave out addresses that were given out before."""
        self._addresses = iter(range(int(_FIRST_ADDRESS) + count, int(_FIRST_ADDRESS) + 2**16))

    async def roll(self, backend: Backend, pod: str) -> None:
        """Make the pod that replaces another, ready to be named in the slice."""
        await self._pod(backend, pod)

    async def write_slice(self, backend: Backend) -> None:
        """The slice as the endpoint slice controller writes it."""
        whole = _object(
            "discovery.k8s.io/v1", "EndpointSlice", f"{backend.name}-1", **{SERVICE_NAME_LABEL: backend.name}
        )
        whole |= {
            "addressType": "IPv4",
            "ports": [{"name": "", "port": TARGET_PORT, "protocol": "TCP"}],
            "endpoints": [_endpoint(pod, address, backend.uids[pod]) for pod, address in backend.addresses.items()],
        }
        try:
            await self._kube.replace(ENDPOINT_SLICES, whole, namespace=backend.namespace)
        except NotFound:
            await self._kube.create(ENDPOINT_SLICES, whole, namespace=backend.namespace)

    async def _service_accounts(self) -> None:
        """The controller manager makes each namespace's default account, without which there are no pods."""
        for namespace in {backend.namespace for backend in self.backends}:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    try:
                        await self._kube.get(SERVICE_ACCOUNTS, namespace=namespace, name="default")
                        break
                    except NotFound:
                        await asyncio.sleep(0.1)

    async def _all(self, work: Iterable[Awaitable[None]]) -> None:
        failed = [error for error in await asyncio.gather(*work, return_exceptions=True) if error is not None]
        if failed:
            raise BenchError(f"{len(failed)} objects could not be made; the first: {failed[0]}")

    async def _backend(self, backend: Backend) -> None:
        async with self._at_once:
            made = await self._kube.create(SERVICES, _service(backend), namespace=backend.namespace)
            backend.cluster_ip = made["spec"]["clusterIP"]
            for number in range(ENDPOINT_COUNT):
                await self._pod(backend, f"{backend.name}-{number}")
            await self.write_slice(backend)

    async def _pod(self, backend: Backend, name: str) -> None:
        made = await self._kube.create(PODS, _pod(name), namespace=backend.namespace)
        address = str(IPv4Address(next(self._addresses)))
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        path = PODS.path(namespace=backend.namespace, name=name, subresource="status")
        await self._kube.request("PATCH", path, body={"status": status}, content_type=MERGE_PATCH)
        backend.addresses[name] = address
        backend.uids[name] = made["metadata"]["uid"]


def _object(api_version: str, kind: str, name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}}


def _service(backend: Backend) -> dict[str, Any]:
    # Without a selector: nobody else writes its slices.
    ports = [{"port": PORT, "targetPort": TARGET_PORT, "protocol": "TCP"}]
    return _object("v1", "Service", backend.name) | {"spec": {"ports": ports}}


def _pod(name: str) -> dict[str, Any]:
    """A pod as injection leaves it, as far as discovery reads it."""
    told = {SPEAKS_TLS: "all-unauthenticated", OPAQUE_PORTS: "25,587,3306,4444,5432,6379,9300,11211"}
    env = [{"name": name, "value": value} for name, value in told.items()]
    sidecar = {"name": PROXY_CONTAINER, "image": "none", "restartPolicy": "Always", "env": env}
    spec = {
        "containers": [{"name": "app", "image": "none"}],
        "initContainers": [sidecar],
        "automountServiceAccountToken": False,
        # Nobody may schedule or evict it.
        "schedulerName": "none",
        "tolerations": [{"operator": "Exists"}],
    }
    return _object("v1", "Pod", name) | {"spec": spec}


def _endpoint(pod: str, address: str, uid: str) -> dict[str, Any]:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "name": pod, "uid": uid},
        "nodeName": f"node-{int(IPv4Address(address)) % 50}",
        "zone": f"zone-{int(IPv4Address(address)) % 3}",
    }
