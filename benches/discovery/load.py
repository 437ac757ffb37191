"""Many proxies in one program. It is told what to do by lines on standard input, and answers each with a line of JSON:

connect       open all streams at once; the answer comes when every destination of each was answered
disconnect    close them all
acknowledged  by address: when each proxy had acknowledged a change that brought or took it (seconds, CLOCK_MONOTONIC)
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from benches.discovery.stream import Stream, client_context, hello
from injector.api import mesh_pb2 as pb

if TYPE_CHECKING:
    import ssl

SETTLE_SECONDS = 120.0
FIRST_RETRY_SECONDS = 3.0


class Load:
    """All proxies of this program."""

    def __init__(self, port: int, plan: list[dict[str, Any]], directory: Path) -> None:
        self._port = port
        self._plan = plan
        self._contexts = {
            namespace: client_context(directory, namespace) for namespace in {each["namespace"] for each in plan}
        }
        self._proxies: list[Proxy] = []
        self._acknowledged: dict[str, list[float]] = {}

    async def connect(self) -> dict[str, float]:
        """Everybody at once."""
        began, used = time.monotonic(), time.process_time()
        self._proxies = [Proxy(each, self._acknowledged) for each in self._plan]
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*(self._settle(proxy) for proxy in self._proxies))
        return {
            "settled_seconds": time.monotonic() - began,
            "connections_beyond_one_each": sum(proxy.attempts - 1 for proxy in self._proxies),
            "cpu_seconds": time.process_time() - used,
        }

    async def disconnect(self) -> dict[str, float]:
        """Without a word."""
        for proxy in self._proxies:
            proxy.stream.transport.abort()
        return {}

    def acknowledged(self) -> dict[str, list[float]]:
        """What was noted since the last time."""
        noted = dict(self._acknowledged)
        self._acknowledged.clear()
        return noted

    async def _settle(self, proxy: Proxy) -> None:
        """Connect, and again if it breaks, as the proxy does: after up to 3 s, by lot."""
        while True:
            if await proxy.attempt(self._port, self._contexts[proxy.namespace]):
                return
            await asyncio.sleep(random.uniform(0, FIRST_RETRY_SECONDS))  # noqa: S311 - spreads load


class Proxy:
    """One of them. `acknowledged` notes, by address, when a change was acknowledged."""

    def __init__(self, plan: dict[str, Any], acknowledged: dict[str, list[float]]) -> None:
        self.namespace = plan["namespace"]
        self.attempts = 0
        self.stream: Stream
        self._hello = pb.WatchRequest(hello=hello(self.namespace, plan["pod"])).SerializeToString()
        wanted = [pb.Address(ip=socket.inet_aton(ip), port=port) for ip, port in plan["destinations"]]
        self._subscribe = pb.WatchRequest(subscribe=pb.Subscribe(destinations=wanted)).SerializeToString()
        self._wanted = len(wanted)
        self._missing = 0
        self._acknowledged = acknowledged
        self._outcome: asyncio.Future[bool]

    async def attempt(self, port: int, context: ssl.SSLContext) -> bool:
        """Connect, and whether every destination was answered."""
        loop = asyncio.get_running_loop()
        self.attempts += 1
        self._missing, self._outcome = self._wanted, loop.create_future()
        self.stream = Stream(self._on_message, self._on_end)
        try:
            await loop.create_connection(
                lambda: self.stream,
                "127.0.0.1",
                port,
                ssl=context,
                server_hostname="localhost",
                ssl_handshake_timeout=SETTLE_SECONDS,
            )
        except OSError:
            return False
        self.stream.send(self._hello)
        self.stream.send(self._subscribe)
        return await self._outcome

    def _on_message(self, message: bytes) -> None:
        response = pb.WatchResponse.FromString(message)
        if not response.HasField("destination"):
            return
        told = response.destination
        version = pb.Acknowledge.Version(address=told.address, version=told.version)
        self.stream.send(pb.WatchRequest(acknowledge=pb.Acknowledge(versions=[version])).SerializeToString())
        if told.HasField("delta"):
            now = time.monotonic()
            for where in (*(endpoint.address for endpoint in told.delta.changed), *told.delta.removed):
                self._acknowledged.setdefault(socket.inet_ntoa(where.ip), []).append(now)
            return
        if not told.endpoints.endpoints:
            raise SystemExit(f"expected endpoints, got {told}")
        self._missing -= 1
        if not self._missing:
            self._outcome.set_result(True)

    def _on_end(self, why: str) -> None:
        if not self._outcome.done():
            print(why, file=sys.stderr)
            self._outcome.set_result(False)


async def obey(load: Load) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    while command := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        answer: Any
        match command:
            case "connect":
                answer = await load.connect()
            case "disconnect":
                answer = await load.disconnect()
            case "acknowledged":
                answer = load.acknowledged()
            case _:
                raise SystemExit(f"expected connect, disconnect or acknowledged, got {command!r}")
        print(json.dumps(answer), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plan", type=Path, required=True, help="JSON: proxies with namespace, pod and destinations")
    parser.add_argument("--certificates", type=Path, required=True)
    told = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()

    async def run() -> None:
        await obey(Load(told.port, json.loads(told.plan.read_text()), told.certificates))

    uvloop.run(run())


if __name__ == "__main__":
    main()
