"""Fresh proxies each round: looked at idle, while connections are held through both, and after those are closed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.namespaces import entered
from benches.processes import Memory, memory, running
from benches.progress import say
from benches.tcp import meshes
from benches.tcp.measure import echo_server, hold
from benches.tcp.traffic import HOLDING

if TYPE_CHECKING:
    from benches.tcp.meshes import Link

ROUNDS = 3
CONNECTIONS = 1000
KINDS = (meshes.INJECTOR, meshes.HAPROXY)
# Longer than any timer with which a proxy might trim its buffers or close what is half closed.
SETTLE_SECONDS = 3.0
_HOLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One proxy's memory: before any connection, while it holds them, after the first time, and after the second."""

    idle: Memory
    holding: Memory
    after: Memory
    again: Memory


def measure(settle: float = SETTLE_SECONDS) -> dict[str, list[Figures]]:
    """`ROUNDS` times two proxies (the client's, the server's) of each kind."""
    found: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    for turn in range(ROUNDS):
        with meshes.all_links(*KINDS) as links:
            for kind, link in links.items():
                figures = _round(link, settle)
                found[kind] += figures
                say(f"memory {turn + 1}/{ROUNDS}: {kind}: idle {figures[0].idle.rss / 2**20:.1f} MiB")
    return found


def _round(link: Link, settle: float) -> list[Figures]:
    idle = _memories(link)
    with entered(link.server.namespace), echo_server(link):
        holding, after = _hold(link, settle)
        _, again = _hold(link, settle)
    return [Figures(*states) for states in zip(idle, holding, after, again, strict=True)]


def _hold(link: Link, settle: float) -> tuple[list[Memory], list[Memory]]:
    """The proxies' memory with the connections open, and after they are closed."""
    with entered(link.client.namespace), running(f"held {link.name}", hold(link, CONNECTIONS)) as holder:
        holder.wait_until(lambda: HOLDING in holder.log.read_text(), _HOLD_SECONDS)
        time.sleep(settle)
        holding = _memories(link)
    time.sleep(settle)
    return holding, _memories(link)


def _memories(link: Link) -> list[Memory]:
    return [memory(proxy.pid) for proxy in link.proxies]
