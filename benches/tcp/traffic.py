"""Traffic that iperf3 does not make: the echo server, and clients that ask one byte, connect anew, or just hold on."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import select
import signal
import socket
import sys
import time
from typing import cast

import uvloop

from benches.statistics import percentile

BACKLOG = 4096
HELD_EXCHANGE = 64 * 1024
"""Bytes that each held connection carries both ways before it idles: buffers that grew must be given back."""
HOLDING = "holding"


class Echo(asyncio.Protocol):
    """Says back what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:
        """Say it back."""
        self._transport.write(data)


async def echo(address: str, port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Echo, address, port, backlog=BACKLOG)
    await server.serve_forever()


def ping(target: tuple[str, int], seconds: float) -> dict[str, float]:
    """One byte there and back on one connection, again and again."""
    with _connected(target) as connection:
        latencies = []
        started = before = time.perf_counter()
        while before - started < seconds:
            connection.send(b"x")
            connection.recv(1)
            now = time.perf_counter()
            latencies.append(now - before)
            before = now
    return {"count": len(latencies), "p50": percentile(latencies, 50), "p99": percentile(latencies, 99)}


def connect(target: tuple[str, int], seconds: float, at_once: int) -> dict[str, float]:
    """A new connection for one byte there and back, then closed; `at_once` under way at any time."""
    poll = select.epoll()
    open_by_descriptor: dict[int, socket.socket] = {}

    def begin() -> None:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect_ex(target)
        open_by_descriptor[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLOUT)

    done = 0
    started = time.perf_counter()
    for _ in range(at_once):
        begin()
    while (elapsed := time.perf_counter() - started) < seconds:
        for descriptor, events in poll.poll(1.0):
            client = open_by_descriptor[descriptor]
            if events & select.EPOLLOUT and not events & select.EPOLLERR:
                client.send(b"x")
                poll.modify(descriptor, select.EPOLLIN)
                continue
            if client.recv(1) != b"x":  # an error of the connection is raised here
                raise SystemExit("expected the byte back, and the connection was closed")
            del open_by_descriptor[descriptor]
            client.close()
            done += 1
            begin()
    return {"count": done, "per_second": done / elapsed}


def hold(target: tuple[str, int], count: int) -> None:
    """Open connections, exchange something on each, say so, and keep them until told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    held = []
    for _ in range(count):
        connection = _connected(target)
        connection.sendall(b"x" * HELD_EXCHANGE)
        missing = HELD_EXCHANGE
        while missing:
            missing -= len(connection.recv(missing)) or sys.exit("the connection was closed")
        held.append(connection)
    print(HOLDING, flush=True)
    signal.pause()


def _connected(target: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(target, timeout=10)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def main() -> None:
    """One of the four."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["echo", "ping", "connect", "hold"])
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=1, help="connections held, or under way at once")
    told = parser.parse_args()
    target = (told.address, told.port)
    gc.disable()
    match told.kind:
        case "echo":
            uvloop.run(echo(*target))
        case "ping":
            print(json.dumps(ping(target, told.seconds)))
        case "connect":
            print(json.dumps(connect(target, told.seconds, told.count)))
        case "hold":
            hold(target, told.count)


if __name__ == "__main__":
    main()
