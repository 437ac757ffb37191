"""A server of ours in a process of its own, for tests that might end it: `python -m tests.runtime.served identity` or
`discovery`. Its calls need nobody else. Says its port and its certificate, and again for each line that it is told,
with another certificate; "roots" exchanges those, too. Ends with its standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import uvloop
from prometheus_client import CollectorRegistry

from injector.discovery import server as discovery
from injector.discovery.board import Board
from injector.discovery.fleet import Fleet
from injector.discovery.following import Parameters
from injector.discovery.index import Index
from injector.discovery.metrics import DiscoveryMetrics
from injector.discovery.server import DiscoveryServer
from injector.discovery.watch import Surroundings
from injector.identity import limits
from injector.identity.metrics import IdentityMetrics
from injector.identity.server import IdentityServer
from injector.identity.tokens import Bearer, TokenReviewer
from injector.pace import TokenBucket
from injector.pki import Signer, SpiffeId, issuer_request, make_root, new_key, read_signer, sign_issuer
from injector.runtime import logs
from injector.runtime.lifecycle import raise_descriptor_limit
from injector.runtime.turns import Turns
from tests.discovery.certificates import Root, material

if TYPE_CHECKING:
    from injector.runtime.renewed import Material

HOUR = timedelta(hours=1)


class Believing(TokenReviewer):
    """Every token is its pod's uid."""

    def __init__(self) -> None:
        """Nobody is asked."""

    async def review(self, token: str) -> Bearer:
        await asyncio.sleep(0.01)
        return Bearer(SpiffeId("cluster.local", "shop", "web"), token, token)


def signer() -> Signer:
    now, key = datetime.now(UTC), new_key()
    made = read_signer(sign_issuer(make_root(now, 9 * HOUR), issuer_request(key, now), now, 3 * HOUR), key)
    assert made is not None
    return made


def identity() -> IdentityServer:
    # One client asks as often as it can: nothing is to be refused but what the server cannot do.
    limits.SOURCE_RATE = limits.SOURCE_BURST = limits.RATE = limits.BURST = 1e9  # type: ignore[misc]
    own, metrics = signer(), IdentityMetrics(CollectorRegistry())
    return IdentityServer("127.0.0.1", 0, Believing(), lambda: own, HOUR, Turns(), metrics, lambda: datetime.now(UTC))


def discovering() -> DiscoveryServer:
    discovery.EXCHANGE_SECONDS = 1.0  # type: ignore[misc]
    index, loop, synced = Index(), asyncio.get_running_loop(), asyncio.Event()
    synced.set()
    shared = Surroundings(
        board=Board(index.resolve, loop.call_soon, loop.time),
        fleet=Fleet(index.meshed_pods, lambda: None),  # type: ignore[arg-type,return-value]
        turns=Turns(),
        metrics=DiscoveryMetrics(CollectorRegistry()),
        trust_domain="cluster.local",
        parameters=lambda _: Parameters("zone-a", b"", 600),
        synced=synced,
        logged=TokenBucket(100, 100),
    )
    return DiscoveryServer(shared, "injector-system", "127.0.0.1", 0)


def shown(root: Root, part: str) -> Material:
    """A certificate, of clients for discovery's server only."""
    made = material(root)
    return made if part == "discovery" else made._replace(roots=None)


async def main(part: str) -> None:
    """Until the end of the input."""
    logs.configure("error", "json")
    raise_descriptor_limit()
    root = Root()
    server = identity() if part == "identity" else discovering()
    line = "begin"
    while line:
        if line.strip() == "roots":
            root = Root()
        now = shown(root, part)
        assert await server.serve(now)
        pod = root.pod("shop", "web")
        said = {
            "port": server.port,
            "chain": now.chain,
            "roots": root.pem,
            "key": pod.key,
            "certificate": pod.certificate,
        }
        print(json.dumps(said, default=bytes.decode), flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
