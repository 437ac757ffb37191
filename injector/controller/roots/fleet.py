"""Asks every replica of discovery what the proxies with a stream to it have said of themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.controller.roots.acknowledgements import Heard, Trusts
from injector.kube.resources import PODS
from injector.pki import SpiffeId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from injector.kube.client import KubeClient, Object

DISCOVERY = "injector-discovery"
PORT = 8443
# 10,000 proxies are 20 parts of 125 KB.
REPORT_SECONDS = 10.0


class Certificate(Protocol):
    """The controller's own certificate: what it opens connections with."""

    def fault(self) -> str | None:
        """Why there is none, a sentence; None where there is one."""

    def wish(self, issuer: bytes) -> None:
        """Have one of the issuer with this fingerprint soon."""

    def trust(self) -> pb.Trust:
        """Whom it accepts and who vouches for it."""

    def channel(self, address: str, server: SpiffeId) -> aio.Channel:
        """A connection to `server`."""


class Fleet:
    """`name` is the controller's own pod: its certificate, too, must be of the new issuer before an old root goes."""

    def __init__(
        self, kube: KubeClient, namespace: str, trust_domain: str, certificate: Certificate, name: str
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._server = SpiffeId(trust_domain, namespace, DISCOVERY)
        self._certificate = certificate
        self._name = name

    def wish(self, issuer: str) -> None:
        """The controller's own certificate, too, is to be of the issuer with this fingerprint."""
        self._certificate.wish(bytes.fromhex(issuer))

    async def hear(self) -> Heard:
        """What the proxies and the parts of the control plane say of themselves."""
        fault = self._certificate.fault()
        own: Trusts | str = fault or _trusts(self._certificate.trust())
        parts: dict[str, Trusts | str] = {f"{self._namespace}/{self._name}": own}
        proxies: dict[tuple[str, str], Trusts] = {}
        replicas = await self._replicas()
        if not fault:
            heard = await asyncio.gather(*(self._report(address) for address in replicas.values()))
        else:
            heard = ["the controller has no certificate to ask with"] * len(replicas)
        for name, said in zip(replicas, heard, strict=True):
            part = f"{self._namespace}/{name}"
            if isinstance(said, str):
                parts[part] = said
                continue
            parts[part] = "does not say what it accepts"
            for proxy in said:
                if (proxy.namespace, proxy.pod) == (self._namespace, name):
                    parts[part] = _trusts(proxy.trust)
                else:
                    _both(proxies, proxy)
        return Heard(proxies, parts)

    async def _replicas(self) -> Mapping[str, str]:
        """The running pods of discovery, name to address."""
        selector = f"app.kubernetes.io/name={DISCOVERY}"
        pods = self._kube.list(PODS, namespace=self._namespace, label_selector=selector)
        return {pod["metadata"]["name"]: address async for pod in pods if (address := _address(pod))}

    async def _report(self, address: str) -> list[pb.ReportResponse.Proxy] | str:
        where = f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"
        try:
            async with self._certificate.channel(where, self._server) as channel:
                report = channel.unary_stream(
                    methods.REPORT,
                    request_serializer=pb.ReportRequest.SerializeToString,
                    response_deserializer=pb.ReportResponse.FromString,
                )
                call = report(pb.ReportRequest(), timeout=REPORT_SECONDS)
                return [proxy async for part in call for proxy in part.proxies]
        except aio.AioRpcError as error:
            return f"cannot be asked: {error.code().name}: {error.details()}"


def _address(pod: Object) -> str:
    status = pod.get("status") or {}
    running = status.get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    return str(status.get("podIP") or "") if running else ""


def _trusts(trust: pb.Trust) -> Trusts:
    return Trusts(frozenset(root.hex() for root in trust.roots), trust.issuer.hex())


def _both(proxies: dict[tuple[str, str], Trusts], proxy: pb.ReportResponse.Proxy) -> None:
    """A proxy that has just changed over to another replica may be in two reports. Which is older cannot be told, so
    it counts for as far as both say it is."""
    who = (proxy.namespace, proxy.pod_uid)
    said, before = _trusts(proxy.trust), proxies.get(who)
    if before is not None:
        said = Trusts(said.roots & before.roots, said.issuer if said.issuer == before.issuer else "")
    proxies[who] = said
