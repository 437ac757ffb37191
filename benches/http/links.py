"""Two pods with the application in the server's, and what stands between."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benches.http import envoy, haproxy
from benches.http.rows import ENVOY, HAPROXY, HTTP1, INJECTOR, PORTS, REDIRECTED, UNMESHED
from benches.http.servers import FILES, serving
from benches.namespaces import Pod, entered, ip, pod_pair
from benches.processes import OUTPUT, output_of, running
from benches.progress import BenchError
from benches.tcp.meshes import as_proxy_user, listening, sidecar
from benches.tls.certificates import CLIENT, SERVER
from benches.tls.peers import envoy_binary
from injector.inject.names import ADMIN_PORT
from tests.netns.volumes import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benches.processes import Child, Found

SERVICE = "10.99.0.7"
"""A cluster IP: nobody's address, and the way to it is the way to the server's pod."""
_START_SECONDS = 15.0
# As measurements of connections (benches/tcp/measure.py): ports and conntrack entries of ended ones must not run out.
_SYSCTLS = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
_CONNTRACK_SYSCTLS = ("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1",)


@dataclass(frozen=True, slots=True)
class Link:
    """Where the client dials what is at a port of the server, and the proxies between: the client's, the server's."""

    name: str
    client: Pod
    server: Pod
    targets: dict[int, tuple[str, int]]
    proxies: list[Child | Found] = field(default_factory=list)


class Surroundings:
    """Where pods are, and how ours get their sidecars: here two network namespaces on one link, and nobody else."""

    def pair(self, name: str, number: int) -> contextlib.AbstractContextManager[tuple[Pod, Pod]]:
        """The client's pod of a link, and the server's."""
        return pod_pair(f"http-{name}", number)

    @contextlib.contextmanager
    def meshed(self, link: Link) -> Iterator[None]:
        """Our sidecars as the webhook makes them, and the server's pod behind a Service that the client's proxy knows.

        Each has an identity, and remembers what discovery would have told it.
        """
        client, server = link.client, link.server
        link.targets.update({port: (SERVICE, port) for port in PORTS})
        ip("-n", client.namespace, "route", "add", f"{SERVICE}/32", "via", server.address)
        known = {(ip, port): [endpoint(server.address, port)] for ip in (SERVICE, server.address) for port in PORTS}
        with contextlib.ExitStack() as stack:
            for pod, knows in ((client, known), (server, {})):
                link.proxies.append(stack.enter_context(sidecar(f"http {INJECTOR}", pod, knows, FILES)))
            yield


@contextlib.contextmanager
def linked(
    names: Sequence[str], *, connections: int = 4000, surroundings: Surroundings | None = None
) -> Iterator[dict[str, Link]]:
    """These links beside each other, with their servers; peers are told of so many connections at most."""
    around = surroundings or Surroundings()
    with contextlib.ExitStack() as stack:
        links = {}
        for number, name in enumerate(names, start=1):
            client, server = stack.enter_context(around.pair(name, number))
            link = Link(name, client, server, {port: (server.address, port) for port in PORTS})
            with entered(server.namespace):
                stack.enter_context(serving(server))
            kind = around.meshed(link) if name == INJECTOR else _PEERS[name](link, connections)
            stack.enter_context(kind)
            for pod in (client, server):
                with entered(pod.namespace):
                    tracked = name in (INJECTOR, REDIRECTED)
                    output_of(["sysctl", "-qw", *_SYSCTLS, *(_CONNTRACK_SYSCTLS if tracked else ())])
            links[name] = link
        yield links


@contextlib.contextmanager
def _unmeshed(_link: Link, _connections: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _haproxy(link: Link, connections: int) -> Iterator[None]:
    """Debian's, which clients dial as such."""
    link.targets.update({port: ("127.0.0.1", haproxy.ENTRIES[port]) for port in PORTS})
    with _pair(link, partial(_haproxy_command, link, connections)):
        yield


@contextlib.contextmanager
def _redirected(link: Link, connections: int) -> Iterator[None]:
    """The same, which clients reach by a rule without knowing: both pods' packets are tracked, as ours are."""
    for pod, chain in ((link.client, "OUTPUT"), (link.server, "PREROUTING")):
        with entered(pod.namespace):
            for port in PORTS:
                rule = ["-p", "tcp", "--dport", str(port), "-j", "REDIRECT", "--to-ports"]
                to = (haproxy.ENTRIES if pod is link.client else haproxy.TUNNELS)[port]
                output_of(["iptables", "-t", "nat", "-A", chain, *rule, str(to)])
    with _pair(link, partial(_haproxy_command, link, connections)):
        yield


@contextlib.contextmanager
def _envoy(link: Link, _connections: int) -> Iterator[None]:
    """The wheel's, which clients dial as such."""
    link.targets.update({port: ("127.0.0.1", haproxy.ENTRIES[port]) for port in PORTS})
    with _pair(link, partial(_envoy_command, link)):
        yield


_PEERS: dict[str, Callable[[Link, int], contextlib.AbstractContextManager[None]]] = {
    UNMESHED: _unmeshed,
    HAPROXY: _haproxy,
    REDIRECTED: _redirected,
    ENVOY: _envoy,
}


@contextlib.contextmanager
def _pair(link: Link, command: Callable[[str], list[str | Path]]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for end, pod, ports in ((CLIENT, link.client, haproxy.ENTRIES), (SERVER, link.server, haproxy.TUNNELS)):
            with entered(pod.namespace):
                proxy = stack.enter_context(running(f"http {link.name} {end}", command(end)))
                proxy.wait_until(partial(listening, ports[HTTP1]), _START_SECONDS)
            link.proxies.append(proxy)
        yield


def _haproxy_command(link: Link, connections: int, end: str) -> list[str | Path]:
    path = OUTPUT / "http" / f"{link.name}-{end}.cfg"
    path.write_text(haproxy.configuration(end, link.server.address, connections=connections))
    return [*as_proxy_user(FILES), "haproxy", "-db", "-f", path]


def _envoy_command(link: Link, end: str) -> list[str | Path]:
    path = OUTPUT / "http" / f"{link.name}-{end}.json"
    path.write_text(json.dumps(envoy.configuration(end, link.server.address), indent=1))
    return [envoy_binary(), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c", path]


def check_encrypted(link: Link) -> None:
    """Raise unless everything that our client's proxy carried went under mutual TLS: otherwise nothing is compared."""
    with entered(link.client.namespace):
        metrics = output_of(["curl", "-sf", f"http://{link.client.address}:{ADMIN_PORT}/metrics"])
    plain, handshakes = (
        total(metrics, f"injector_proxy_{name}") for name in ("tcp_plaintext_total", "tls_handshakes_total")
    )
    if plain or not handshakes:
        raise BenchError(f"expected everything under TLS, got {handshakes:.0f} handshakes and {plain:.0f} plaintext")


def total(metrics: str, name: str) -> float:
    """The sum of a metric over all its labels, from the text that Prometheus reads."""
    lines = (line for line in metrics.splitlines() if line.partition("{")[0].partition(" ")[0] == name)
    return sum(float(line.rpartition(" ")[2]) for line in lines)
