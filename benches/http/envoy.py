"""Envoy's half of a pair: an HTTP connection manager on each side, mutual TLS between. Pure."""

from __future__ import annotations

from typing import Any

from benches.http.haproxy import ENTRIES, TUNNELS
from benches.http.rows import HTTP1, PORTS
from benches.tls.certificates import CLIENT, SERVER, server_name
from benches.tls.peers import ENVOY_TLS, X25519, address, envoy_identity, typed

BETWEEN_IS_HTTP2 = True
"""Whether HTTP/1.1 requests cross between the two as HTTP/2. At 32 connections that is the faster way for Envoy."""


def configuration(end: str, server: str, *, http2_between: bool = BETWEEN_IS_HTTP2) -> dict[str, Any]:
    """All three ports. HTTP/2 stays HTTP/2."""
    listeners, clusters = [], []
    for port in PORTS:
        listen = f"127.0.0.1:{ENTRIES[port]}" if end == CLIENT else f"{server}:{TUNNELS[port]}"
        to = f"{server}:{TUNNELS[port] if end == CLIENT else port}"
        over = port != HTTP1 or (http2_between and end == CLIENT)
        listeners.append(_listener(end, f"to-{port}", listen))
        clusters.append(_cluster(end, f"to-{port}", to, http2=over))
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def _listener(end: str, name: str, listen: str) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [
            typed(
                "envoy.filters.network.http_connection_manager",
                "filters.network.http_connection_manager.v3.HttpConnectionManager",
                _manager(name),
            )
        ]
    }
    if end == SERVER:
        tls = {"common_tls_context": _identity(end, ["h2", "http/1.1"]), "require_client_certificate": True}
        chain["transport_socket"] = typed(ENVOY_TLS, "transport_sockets.tls.v3.DownstreamTlsContext", tls)
    return {"name": name, "address": address(listen), "filter_chains": [chain]}


def _manager(name: str) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}
    return {
        "stat_prefix": name,
        "codec_type": "AUTO",
        "generate_request_id": False,
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [typed("envoy.filters.http.router", "filters.http.router.v3.Router", {})],
    }


def _cluster(end: str, name: str, to: str, *, http2: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "explicit_http_config": {"http2_protocol_options" if http2 else "http_protocol_options": {}}
    }
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(to)}}]}],
        },
        "typed_extension_protocol_options": {kind: {"@type": f"type.googleapis.com/{kind}", **options}},
    }
    if end == CLIENT:
        protocols = ["h2"] if http2 else ["http/1.1"]
        tls = {"common_tls_context": _identity(end, protocols), "sni": server_name(SERVER)}
        cluster["transport_socket"] = typed(ENVOY_TLS, "transport_sockets.tls.v3.UpstreamTlsContext", tls)
    return cluster


def _identity(end: str, protocols: list[str]) -> dict[str, Any]:
    return {**envoy_identity(X25519, end), "alpn_protocols": protocols}
