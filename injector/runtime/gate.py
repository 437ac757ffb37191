"""Who may hold a connection, and how much each may send: fair between source addresses, flat in memory.

Pure bookkeeping: no sockets and no clock. A single address can never take what others need; many together can fill the
port, and then the one that holds the most makes room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from injector.pace import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from injector.runtime.limits import Limits


class Reason(StrEnum):
    """Why a connection was refused or closed; the label of the metric."""

    TOO_MANY = "too-many-connections"
    TOO_MANY_OF_SOURCE = "too-many-connections-of-source"
    TOO_FAST = "opened-too-fast"
    MADE_ROOM = "made-room"
    NO_CERTIFICATE = "no-certificate"
    HANDSHAKE = "handshake-failed"
    NO_DESCRIPTORS = "no-file-descriptors"
    MALFORMED = "malformed-request"
    HEADERS_TOO_LARGE = "headers-too-large"
    HEADERS_TOO_SLOW = "headers-too-slow"
    BODY_TOO_LARGE = "body-too-large"
    BODY_TOO_SLOW = "body-too-slow"
    TOO_MUCH_HELD = "too-many-bytes-held"
    NO_ANSWER = "no-answer-in-time"


class Connection(Protocol):
    """What the gate must know of a connection."""

    source: str
    held: int

    @property
    def busy(self) -> bool:
        """Whether a request is being received or answered."""

    def evict(self, reason: Reason) -> None:
        """Close now."""


@dataclass(slots=True)
class Source:
    """One address: its connections (oldest first), its bytes, its rate of opening."""

    opening: TokenBucket
    pending: int = 0
    connections: dict[int, Connection] = field(default_factory=dict)
    held: int = 0

    @property
    def count(self) -> int:
        """Connections, counting those still waiting or in their handshake."""
        return self.pending + len(self.connections)


class Gate:
    """The books of one port."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sources: dict[str, Source] = {}
        self.total = 0
        self.held = 0

    def open(self, address: str, now: float) -> float | Reason:
        """A newcomer: the seconds to wait before its handshake may begin, or the reason it is refused.

        Each float answer must be followed by one `opened` or `abandoned`.
        """
        limits = self.limits
        source = self.sources.get(address)
        if source is None:
            source = Source(TokenBucket(limits.opening_rate, limits.opening_burst, updated=now))
        if source.count >= limits.connections_per_source:
            return Reason.TOO_MANY_OF_SOURCE
        if self.total >= limits.connections and not self._make_room(source):
            return Reason.TOO_MANY
        wait = source.opening.reserve(now, limits.opening_wait_seconds)
        if wait is None:
            return Reason.TOO_FAST
        self.sources[address] = source
        source.pending += 1
        self.total += 1
        return wait

    def opened(self, connection: Connection) -> None:
        """A pending newcomer has become a connection."""
        source = self.sources[connection.source]
        source.pending -= 1
        source.connections[id(connection)] = connection

    def abandoned(self, address: str) -> None:
        """A pending newcomer failed its handshake."""
        self.sources[address].pending -= 1
        self.total -= 1

    def closed(self, connection: Connection) -> None:
        """A connection is gone, with whatever it held. Said twice of one that was evicted; by then, its source may be
        forgotten."""
        source = self.sources.get(connection.source)
        if source is None or source.connections.pop(id(connection), None) is None:
            return
        self.total -= 1
        self.release(connection)

    def hold(self, connection: Connection, count: int) -> Reason | None:
        """`count` more body bytes of a request are kept: None, or why they may not be, and are not."""
        source = self.sources[connection.source]
        if source.held + count > self.limits.held_bytes_per_source:
            return Reason.TOO_MUCH_HELD
        self._add(connection, count)
        while self.held > self.limits.held_bytes:
            largest = self._largest_holder()
            if largest is connection:
                self._add(connection, -count)
                return Reason.TOO_MUCH_HELD
            self.release(largest)
            largest.evict(Reason.TOO_MUCH_HELD)
        return None

    def release(self, connection: Connection) -> None:
        """The request's body is not kept any longer."""
        if connection.held:
            self._add(connection, -connection.held)

    def _add(self, connection: Connection, count: int) -> None:
        connection.held += count
        self.sources[connection.source].held += count
        self.held += count

    def forget(self, now: float) -> None:
        """Drop the books of addresses that have nothing and owe nothing, so that memory follows the present."""
        for address, source in list(self.sources.items()):
            if source.count == 0 and source.opening.full(now):
                del self.sources[address]

    def all_connections(self) -> Iterable[Connection]:
        """Every connection, in no order that matters; safe against closing while iterating."""
        return [connection for source in self.sources.values() for connection in source.connections.values()]

    def _make_room(self, newcomer: Source) -> bool:
        """Close one connection of the source that has the most, unless that is the newcomer: whether there is room."""
        largest = max(self.sources.values(), key=lambda source: source.count)
        if largest.count <= newcomer.count + 1 or not largest.connections:
            return False
        victim = min(largest.connections.values(), key=lambda connection: connection.busy)
        self.closed(victim)
        victim.evict(Reason.MADE_ROOM)
        return True

    def _largest_holder(self) -> Connection:
        source = max(self.sources.values(), key=lambda source: source.held)
        return max(source.connections.values(), key=lambda connection: connection.held)
