"""The load: a program of its own, so that a core of its own can carry it. Prints what it saw as JSON.

Each client keeps one TLS 1.3 connection and sends its next review when it has the answer to the last. One thread and
epoll on raw sockets: a request costs the client some 30 µs, far less than it costs any server in Python.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import ssl
import time
from pathlib import Path

from benches.statistics import percentile

READ_BYTES = 256 * 1024
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Client:
    """One connection: it sends, or it reads."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, request: bytes, expected: bytes) -> None:
        plain = socket.create_connection(address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.setblocking(False)
        self._request = memoryview(request)
        self._expected = expected
        self._unsent = self._request
        self._answer = bytearray()
        self._whole = 0
        self.started = 0.0

    def begin(self) -> None:
        """Send the next review, as much of it as fits."""
        self._unsent, self._whole = self._request, 0
        self._answer.clear()
        self.started = time.perf_counter()
        self.send()

    @property
    def sending(self) -> bool:
        """Whether some of the request has still to be sent."""
        return bool(self._unsent)

    def send(self) -> None:
        """Send what the socket takes."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return

    def read(self) -> bool:
        """Read what is there; whether the answer is whole. Anything but the expected answer ends the load."""
        try:
            while True:
                data = self.socket.recv(READ_BYTES)
                if not data:
                    raise SystemExit(f"the server closed a connection; it had said {bytes(self._answer[:300])!r}")
                self._answer += data
                if self._complete():
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not self._answer.startswith(b"HTTP/1.1 200") or self._expected not in self._answer:
            raise SystemExit(f"expected status 200 and {self._expected!r}, got {bytes(self._answer[:600])!r}")
        return True

    def _complete(self) -> bool:
        if not self._whole:
            end = self._answer.find(HEAD_END)
            if end < 0:
                return False
            head = bytes(self._answer[:end]).lower()
            length = int(head[head.index(LENGTH) + len(LENGTH) :].split(b"\r\n", 1)[0])
            self._whole = end + len(HEAD_END) + length
        return len(self._answer) >= self._whole


def drive(clients: list[Client], seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds of every review answered, and how long it all took."""
    poll = select.epoll()
    by_descriptor = {client.socket.fileno(): client for client in clients}
    latencies: list[float] = []
    started = time.perf_counter()
    give_up = started + seconds
    for descriptor, client in by_descriptor.items():
        client.begin()
        poll.register(descriptor, select.EPOLLIN | (select.EPOLLOUT if client.sending else 0))
    under_way = len(clients)
    while under_way:
        for descriptor, events in poll.poll():
            client = by_descriptor[descriptor]
            if events & select.EPOLLOUT:
                client.send()
                if not client.sending:
                    poll.modify(descriptor, select.EPOLLIN)
                continue
            if not client.read():
                continue
            now = time.perf_counter()
            latencies.append(now - client.started)
            if now >= give_up:
                under_way -= 1
                continue
            client.begin()
            if client.sending:
                poll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)
    return latencies, time.perf_counter() - started


def main() -> None:
    """Connect, drive, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--expect", required=True, help="what every answer must contain")
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()

    context = ssl.create_default_context(cafile=str(told.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    body = told.body.read_bytes()
    head = (
        f"POST {told.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    request = head.encode() + HEAD_END + body
    expected = told.expect.encode()
    clients = [Client(("127.0.0.1", told.port), context, request, expected) for _ in range(told.clients)]
    gc.disable()
    used = time.process_time()
    latencies, took = drive(clients, told.seconds)
    used = time.process_time() - used
    summary = {
        "reviews": len(latencies),
        "seconds": took,
        "p50": percentile(latencies, 50),
        "p99": percentile(latencies, 99),
        "client_cpu_share": used / took,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
