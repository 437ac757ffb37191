"""The watches: what the API server says, projected, indexed, and passed on to those who follow it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from injector.discovery.records import project_namespace, project_node, project_pod, project_service, project_slice
from injector.kube.informer import Informer, Selection
from injector.kube.resources import CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES
from injector.pki import fingerprint, read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.discovery.board import Board
    from injector.discovery.index import Index
    from injector.discovery.records import PodRecord, ServiceRecord, SliceRecord
    from injector.inject.ports import PortRange
    from injector.kube.client import KubeClient, Object
    from injector.kube.informer import Key

IDENTITY_CONFIG_MAP: Final = "injector-identity"
ISSUER_KEY: Final = "issuer.crt"

LIVE: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that are over are not even listed: in a cluster of many Jobs they are the most."""

SERVED: Final = "kubernetes.io/service-name"
"""The label without which a slice belongs to no Service."""


def project_issuer(item: Object) -> bytes | None:
    """Fingerprint (SHA-256 of the DER form) of the issuer that is wanted; None while there is none."""
    found = read_bundle((item.get("data") or {}).get(ISSUER_KEY, "").encode())
    return fingerprint(found[0]) if found else None


class Cluster:
    """Keeps `index` and tells `board`. `on_parameters` is called when the parameters of some streams have changed,
    `on_issuer` with the fingerprint of the issuer that is wanted from now on (b"": no wish)."""

    def __init__(
        self,
        kube: KubeClient,
        system_namespace: str,
        index: Index,
        board: Board,
        on_parameters: Callable[[], None],
        on_issuer: Callable[[bytes], None],
    ) -> None:
        self._index = index
        self._board = board
        self._on_parameters = on_parameters
        self._on_issuer_wanted = on_issuer
        self.issuer = b""
        one = Selection.one(CONFIG_MAPS, name=IDENTITY_CONFIG_MAP, namespace=system_namespace)
        self.informers: dict[str, Informer[Any]] = {
            "Node": Informer(kube, Selection(NODES, metadata_only=True), project_node, self._on_node),
            "Namespace": Informer(
                kube, Selection(NAMESPACES, metadata_only=True), project_namespace, self._on_namespace
            ),
            "Pod": Informer(kube, Selection(PODS, field_selector=LIVE), project_pod, self._on_pod),
            "Service": Informer(kube, Selection(SERVICES), project_service, self._on_service),
            "EndpointSlice": Informer(
                kube, Selection(ENDPOINT_SLICES, label_selector=SERVED), project_slice, self._on_slice
            ),
            "ConfigMap": Informer(kube, one, project_issuer, self._on_issuer),
        }
        """The watches by kind, for readiness and metrics."""

    async def run(self, synced: asyncio.Event) -> None:
        """Watch for ever; `synced` is set once everything was read."""
        async with asyncio.TaskGroup() as group:
            for informer in self.informers.values():
                group.create_task(informer.run())
            for informer in self.informers.values():
                await informer.wait_synced()
            synced.set()

    def _on_service(self, key: Key, _: ServiceRecord | None, new: ServiceRecord | None) -> None:
        self._board.touch(self._index.put_service(key, new))

    def _on_slice(self, key: Key, _: SliceRecord | None, new: SliceRecord | None) -> None:
        self._board.touch(self._index.put_slice(key, new))

    def _on_pod(self, key: Key, _: PodRecord | None, new: PodRecord | None) -> None:
        self._board.touch(self._index.put_pod(key, new))

    def _on_node(self, key: Key, _: str | None, zone: str | None) -> None:
        self._board.touch(self._index.put_node(key[1], zone))
        self._on_parameters()

    def _on_namespace(self, key: Key, _: object, opaque: tuple[PortRange, ...] | None) -> None:
        self._board.touch(self._index.put_namespace(key[1], opaque))

    def _on_issuer(self, _: Key, __: bytes | None, new: bytes | None) -> None:
        self.issuer = new or b""
        self._on_issuer_wanted(self.issuer)
        self._on_parameters()
