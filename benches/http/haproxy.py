"""HAProxy's half of a pair in mode http: mutual TLS between, connections kept and shared on both sides. Pure."""

from __future__ import annotations

from benches.http.rows import GRPC, HTTP1, HTTP2
from benches.tls.certificates import CLIENT, SERVER, server_name
from benches.tls.peers import CERTIFICATES

ENTRIES = {HTTP1: 4140, HTTP2: 4141, GRPC: 4142}
"""Where the client's proxy listens, by the port that is meant."""
TUNNELS = {HTTP1: 4143, HTTP2: 4144, GRPC: 4145}
"""Where the server's does."""


def configuration(end: str, server: str, *, connections: int) -> str:
    """All three ports: HTTP/1.1 stays HTTP/1.1 and HTTP/2 stays HTTP/2, as HAProxy is mostly set up."""
    pairs = "".join(_pair(end, server, port) for port in (HTTP1, HTTP2, GRPC))
    return f"""\
global
    nbthread 1
    no strict-limits
    maxconn {connections}
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
{pairs}"""


def _pair(end: str, server: str, port: int) -> str:
    own, two = CERTIFICATES / end, port != HTTP1
    identity = f"ssl crt {own}/both.pem ca-file {own}/roots.pem verify required ssl-min-ver TLSv1.3"
    protocols = f"alpn {'h2' if two else 'http/1.1'}"
    plain = "proto h2" if two else ""
    if end == CLIENT:
        name = server_name(SERVER)
        bind = f"127.0.0.1:{ENTRIES[port]} {plain}"
        to = f"{server}:{TUNNELS[port]} {identity} {protocols} sni str({name}) verifyhost {name}"
    else:
        bind = f"{server}:{TUNNELS[port]} {identity} {protocols}"
        to = f"{server}:{port} {plain}"
    return f"""\
listen to-{port}
    bind {bind.strip()}
    server far {to.strip()}
"""
