"""One pod at a time, in one of two moods.

probe  asks for one Service after the other and measures each answer; prints JSON
scan   asks for as many addresses as a stream may follow, drops them, and goes on, until it is stopped
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benches.discovery.stream import Stream, client_context, hello
from benches.statistics import percentile
from injector.api import mesh_pb2 as pb
from injector.discovery.following import MOST_DESTINATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBES = 3000
# Between two questions, so that the probe is a pod starting and not a load of its own.
PAUSE_SECONDS = 0.001
SCANNED = 60_000
_FIRST = IPv4Address("10.200.0.0")


class Asker:
    """One stream that asks, and waits for as many answers as it has asked for."""

    def __init__(self) -> None:
        self.stream = Stream(lambda _: self._on_message(), self._on_end)
        self._awaited = 1  # the parameters
        self._answered = asyncio.Event()

    def _on_message(self) -> None:
        self._awaited -= 1
        if not self._awaited:
            self._answered.set()

    def _on_end(self, why: str) -> None:
        raise SystemExit(f"the stream ended: {why}")

    async def begin(self, port: int, directory: Path, namespace: str) -> None:
        """Connect and say hello."""
        await asyncio.get_running_loop().create_connection(
            lambda: self.stream,
            "127.0.0.1",
            port,
            ssl=client_context(directory, namespace),
            server_hostname="localhost",
        )
        self.stream.send(pb.WatchRequest(hello=hello(namespace, f"asker-of-{namespace}")).SerializeToString())
        await self._answered.wait()

    async def ask(self, destinations: Sequence[pb.Address]) -> None:
        """Until all are answered; then they are dropped."""
        self._awaited = len(destinations)
        self._answered.clear()
        self.stream.send(pb.WatchRequest(subscribe=pb.Subscribe(destinations=destinations)).SerializeToString())
        await self._answered.wait()
        self.stream.send(pb.WatchRequest(unsubscribe=pb.Unsubscribe(destinations=destinations)).SerializeToString())


async def probe(asker: Asker, addresses: Sequence[str], port: int) -> None:
    """Latencies of single questions."""
    wanted = [pb.Address(ip=IPv4Address(address).packed, port=port) for address in addresses]
    took = []
    for index in range(PROBES):
        began = time.perf_counter()
        await asker.ask([wanted[index % len(wanted)]])
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    print(json.dumps({"p50": percentile(took, 50), "p99": percentile(took, 99)}))


async def scan(asker: Asker) -> None:
    """60,000 addresses of nobody, again and again."""
    addresses = [pb.Address(ip=(_FIRST + index).packed, port=80) for index in range(SCANNED)]
    while True:
        for start in range(0, SCANNED, MOST_DESTINATIONS):
            await asker.ask(addresses[start : start + MOST_DESTINATIONS])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mood", choices=["probe", "scan"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificates", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--services", type=Path, help="JSON: cluster IPs to ask for, and their port")
    told = parser.parse_args()

    async def run() -> None:
        asker = Asker()
        await asker.begin(told.port, told.certificates, told.namespace)
        if told.mood == "scan":
            await scan(asker)
        else:
            services = json.loads(told.services.read_text())
            await probe(asker, services["addresses"], services["port"])

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run())


if __name__ == "__main__":
    main()
