"""What is measured: the links and the rows of the table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

UNMESHED, INJECTOR, HAPROXY, REDIRECTED, ENVOY = "unmeshed", "injector", "haproxy", "haproxy-redirected", "envoy"
LINKS = (UNMESHED, INJECTOR, HAPROXY, REDIRECTED, ENVOY)
MEMORY = "memory"
"""Not a row of requests: what the proxies occupy before, during and after load."""

HTTP1, HTTP2, GRPC = 8080, 8081, 8082
PORTS = (HTTP1, HTTP2, GRPC)
"""Where the server's pod serves: nginx HTTP/1.1, nginx HTTP/2 by prior knowledge, and the gRPC echo."""


class Tool(Enum):
    """Who makes the requests."""

    WRK = "wrk"
    H2LOAD = "h2load"
    OPEN = "benches.http.open"
    GRPC_STREAM = "benches/http/grpc"


@dataclass(frozen=True, slots=True)
class Row:
    """Requests of one kind."""

    name: str
    title: str
    tool: Tool
    port: int = HTTP1
    path: str = "/"
    connections: int = 1
    streams: int = 1
    rate: int = 0
    """Requests a second; 0: the next when the last one is answered."""
    keep: bool = True
    """Whether a connection carries more than one request."""


ROWS = (
    Row("closed-1", "1 connection", Tool.WRK),
    Row("closed-32", "32 connections", Tool.WRK, connections=32),
    Row("closed-256", "256 connections", Tool.WRK, connections=256),
    Row("open-1000", "1,000/s", Tool.OPEN, connections=32, rate=1000),
    Row("connect-16", "a connection each, 16 at once", Tool.WRK, connections=16, keep=False),
    Row("h2", "HTTP/2, 8 connections of 10 streams", Tool.H2LOAD, HTTP2, connections=8, streams=10),
    Row("grpc-unary", "gRPC unary, 8 of 10", Tool.H2LOAD, GRPC, "/bench.Echo/Unary", connections=8, streams=10),
    Row("grpc-stream", "gRPC streams, 8 of 10", Tool.GRPC_STREAM, GRPC, connections=8, streams=10),
    Row("body-1k", "1 KiB bodies, 32 connections", Tool.WRK, path="/1k", connections=32),
    Row("body-64k", "64 KiB bodies, 32 connections", Tool.WRK, path="/64k", connections=32),
    Row("body-10m", "10 MiB bodies, 4 connections", Tool.WRK, path="/10m", connections=4),
)
BY_NAME = {row.name: row for row in ROWS}
BODIES = {"1k": 1 << 10, "64k": 64 << 10, "10m": 10 << 20}
"""Files that nginx serves, and their bytes."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of it is wanted."""

    rows: tuple[str, ...] = (MEMORY, *BY_NAME)
    links: tuple[str, ...] = LINKS
    cluster: bool = False
    """Whether the pods are a Kubernetes', and ours its sidecars, instead of bare network namespaces."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row over one link."""

    link: str
    row: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run found. CPU is in seconds a request: the client's proxy, the server's, everything on all cores."""

    rate: float
    bits: float
    client: float
    server: float
    machine: float
    p50: float | None = None
    p99: float | None = None
