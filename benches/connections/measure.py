"""Both proxies of a pair: idle, with idle connections, with busy ones besides, and a while after all were closed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benches.connections.hold import HOLDING
from benches.http import clients
from benches.http.haproxy import ENTRIES, TUNNELS
from benches.http.links import linked
from benches.http.rows import BY_NAME, HAPROXY, HTTP1, INJECTOR
from benches.http.servers import FILES, write_files
from benches.namespaces import entered
from benches.processes import Memory, memory, output_of, running
from benches.progress import say
from benches.tls import certificates
from benches.tls.peers import CERTIFICATES

if TYPE_CHECKING:
    from benches.http.links import Link

KINDS = (INJECTOR, HAPROXY)
ENDS = ("client's", "server's")
_RESERVED = 1024
"""Descriptors of a proxy that are not for its connections: ours keeps 512 (worker.rs), and some it has open."""
_HOLD_SECONDS = 120.0
_SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Amount:
    """How many connections, and how long the busy ones are busy and the end is waited for."""

    idle: int = 10_000
    busy: int = 1_000
    busy_seconds: float = 8.0
    after_seconds: float = 60.0


QUICK = Amount(1_000, 100, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Held:
    """Connections that one proxy has: unencrypted, with its application, and encrypted, with the other proxy."""

    plain: int
    encrypted: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One proxy: its memory in each state, and what it holds while the client's connections idle."""

    before: Memory
    idle: Memory
    busy: Memory
    after: Memory
    held: Held


@dataclass(frozen=True, slots=True)
class Found:
    """By link the client's proxy, then the server's."""

    amount: Amount
    proxies: dict[str, list[Figures]]


def granted(amount: Amount, descriptors: int) -> Amount:
    """As many idle connections as a proxy has descriptors for: it keeps two for each, its own and one to go on with."""
    return replace(amount, idle=min(amount.idle, (descriptors - _RESERVED) // 2 - amount.busy))


def measure(wanted: Amount) -> Found:
    """Fresh proxies, beside each other; one pair after the other is loaded."""
    write_files()
    certificates.write(CERTIFICATES)
    amount = granted(wanted, FILES)
    if amount != wanted:
        say(f"connections: {amount.idle:,} idle and not {wanted.idle:,}: a process gets {FILES:,} descriptors here")
    all_at_once = amount.idle + amount.busy
    states = {}
    with linked(KINDS, connections=all_at_once + 1000) as links:
        for kind, link in links.items():
            before = _look(link)
            with entered(link.client.namespace):
                states[kind] = (before, *_load(link, amount))
            say(f"connections: {kind}: {amount.idle:,} were idle and {amount.busy:,} busy")
        time.sleep(amount.after_seconds)
        after = {kind: _look(link) for kind, link in links.items()}
    proxies = {}
    for kind, (before, idle, busy, held) in states.items():
        proxies[kind] = [Figures(*each) for each in zip(before, idle, busy, after[kind], held, strict=True)]
    return Found(amount, proxies)


def _load(link: Link, amount: Amount) -> tuple[list[Memory], list[Memory], list[Held]]:
    """Memory with idle connections, with busy ones too, and what was held meanwhile. In the client's namespace."""
    address, port = link.targets[HTTP1]
    words = [sys.executable, "-m", "benches.connections.hold", "--address", address, "--port", str(port)]
    with running(f"connections {link.name}", [*words, "--count", str(amount.idle)]) as holder:
        holder.wait_until(lambda: HOLDING in holder.log.read_text(), _HOLD_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        idle, held = _look(link), [_held(link, 0), _held(link, 1)]
        row = replace(BY_NAME["closed-256"], connections=amount.busy)
        command = clients.command(row, address, port, amount.busy_seconds)
        with running(f"connections busy {link.name}", command) as load:
            time.sleep(amount.busy_seconds / 2)
            load.check()
            busy = _look(link)
            load.process.wait()
            clients.read(row, load.log.read_text())  # raises if requests failed
        holder.check()
    return idle, busy, held


def _held(link: Link, end: int) -> Held:
    """The kernel is asked: who talks to a proxy's ports, and whom a proxy talks to."""
    entry, tunnel = ENTRIES[HTTP1], TUNNELS[HTTP1]
    if end == 0:
        with entered(link.client.namespace):
            return Held(_established(f"sport = {entry}"), _established(f"dport = {tunnel}"))
    with entered(link.server.namespace):
        return Held(_established(f"dport = {HTTP1}"), _established(f"sport = {tunnel}"))


def _established(which: str) -> int:
    return len(output_of(["ss", "-Htn", "state", "established", which]).splitlines())


def _look(link: Link) -> list[Memory]:
    for proxy in link.proxies:
        proxy.check()
    return [memory(proxy.pid) for proxy in link.proxies]
