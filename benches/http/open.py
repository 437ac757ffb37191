"""An open loop: requests leave at a fixed rate, whether or not the ones before are answered.

Each latency counts from the moment at which its request was to leave: who answers late cannot hide it by keeping others
from being asked (coordinated omission).
"""

from __future__ import annotations

import argparse
import collections
import gc
import json
import select
import socket
import time

from benches.http.answer import Answer
from benches.statistics import percentile

PATIENCE = 5.0


class Loop:
    """Connections, those of them that wait for nothing, and requests whose moment has come."""

    def __init__(self, target: tuple[str, int], connections: int) -> None:
        self._request = f"GET / HTTP/1.1\r\nHost: {target[0]}:{target[1]}\r\n\r\n".encode()
        self._idle = [_connected(target) for _ in range(connections)]
        self._busy: dict[int, tuple[socket.socket, float, Answer]] = {}
        self._due: collections.deque[float] = collections.deque()
        self._poll = select.epoll()
        for connection in self._idle:
            # Once, before anything is counted: what is measured is not how connections begin.
            connection.sendall(self._request)
            first = Answer()
            while not first.take(connection.recv(65536)):
                continue
            self._poll.register(connection, select.EPOLLIN)
        self.latencies: list[float] = []
        self.bytes = 0

    def run(self, rate: float, seconds: float) -> None:
        """Ask `rate` times a second; then wait for the last answers."""
        started = time.perf_counter()
        count, left = round(rate * seconds), 0
        while len(self.latencies) < count:
            now = time.perf_counter()
            while left < count and started + left / rate <= now:
                self._due.append(started + left / rate)
                left += 1
            self._ask()
            self._wait(started + left / rate if left < count else now + PATIENCE, last=left == count)

    def _ask(self) -> None:
        while self._due and self._idle:
            connection = self._idle.pop()
            self._busy[connection.fileno()] = (connection, self._due.popleft(), Answer())
            connection.send(self._request)

    def _wait(self, until: float, *, last: bool) -> None:
        # epoll's own wait is in whole milliseconds; select's, of which epoll is one descriptor, in microseconds.
        readable, _, _ = select.select([self._poll], [], [], max(0.0, until - time.perf_counter()))
        if last and not readable:
            raise SystemExit(f"no answer to {len(self._busy)} requests within {PATIENCE} s")
        if not readable:
            return
        for descriptor, _ in self._poll.poll(0):
            if descriptor not in self._busy:
                raise SystemExit("a connection that was not asked was closed, or spoke")
            connection, due, answer = self._busy[descriptor]
            if answer.take(connection.recv(65536)):
                self.latencies.append(time.perf_counter() - due)
                self.bytes += answer.size
                del self._busy[descriptor]
                self._idle.append(connection)


def _connected(target: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(target, timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def main() -> None:
    """One run, and its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()
    gc.disable()
    loop = Loop((told.address, told.port), told.connections)
    started = time.perf_counter()
    loop.run(told.rate, told.seconds)
    figures = {
        "rate": len(loop.latencies) / (time.perf_counter() - started),
        "count": len(loop.latencies),
        "bytes": loop.bytes,
        "p50": percentile(loop.latencies, 50),
        "p99": percentile(loop.latencies, 99),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
