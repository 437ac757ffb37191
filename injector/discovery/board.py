"""The destinations that somebody follows: each has one present answer, made once and given to all of its followers.

Memory follows what is followed and nothing else: a destination that the last follower leaves is forgotten, be it a
Service's or an address that belongs to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from injector.discovery import wire
from injector.discovery.model import difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.discovery.index import Touched
    from injector.discovery.model import Destination, Difference, Endpoints

# Between two looks at the sockets no more time than this goes into new answers: a list that is read anew after an
# outage of the API server may touch all of them at once.
SLICE_SECONDS = 0.005


class Follower(Protocol):
    """Whoever is told that a new answer is there; it fetches the answer when it can send it."""

    def mark(self, subject: Subject) -> None:
        """There is a newer version."""


class Subject:
    """One followed destination. `changed_at` is when the change was seen that made this version (monotonic)."""

    __slots__ = (
        "_base",
        "_delta",
        "_difference",
        "_snapshot",
        "changed_at",
        "destination",
        "followers",
        "known",
        "version",
    )

    def __init__(self, destination: Destination, version: int, known: Endpoints | None, now: float) -> None:
        self.destination = destination
        self.version = version
        self.known = known
        self.changed_at = now
        self.followers: dict[Follower, None] = {}
        self._snapshot: bytes | None = None
        self._base = 0
        self._difference: Difference | None = None
        self._delta: bytes | None = None

    def renew(self, version: int, known: Endpoints | None, seen_at: float) -> None:
        """A new answer."""
        frame = self.known is not None and known is not None and known.same_frame(self.known)
        self._difference = difference(self.known, known) if frame and self.known and known else None
        self._base, self._snapshot, self._delta = self.version, None, None
        self.version, self.known, self.changed_at = version, known, seen_at

    def message(self, has: int) -> tuple[bytes, bool]:
        """The bytes for a follower that was last sent version `has` (0: none), and whether they are a delta. It is one
        only for who has just the version before, and only while it is the shorter of the two."""
        if self._difference is not None and has == self._base and self._is_shorter(self._difference):
            if self._delta is None:
                self._delta = wire.delta(self.destination, self.version, self._base, self._difference)
            return self._delta, True
        if self._snapshot is None:
            self._snapshot = wire.snapshot(self.destination, self.version, self.known)
        return self._snapshot, False

    def _is_shorter(self, told_apart: Difference) -> bool:
        named = len(told_apart.changed) + len(told_apart.removed)
        return self.known is not None and named < len(self.known.endpoints)


class Board:
    """All subjects. `resolve` answers for a destination, `later` runs a function after the present one (call_soon),
    `clock` is monotonic seconds."""

    def __init__(
        self,
        resolve: Callable[[Destination], Endpoints | None],
        later: Callable[[Callable[[], None]], object],
        clock: Callable[[], float],
    ) -> None:
        self._resolve = resolve
        self._later = later
        self._clock = clock
        self._subjects: dict[Destination, Subject] = {}
        self._of_ip: dict[bytes, dict[Destination, None]] = {}
        self._touched: dict[Destination, float] = {}
        # One count for all subjects: a destination that was forgotten and comes back still only grows.
        self._version = 0

    def __len__(self) -> int:
        return len(self._subjects)

    def follow(self, destination: Destination, follower: Follower) -> Subject:
        """The subject, which from now on marks the follower at every change."""
        subject = self._subjects.get(destination)
        if subject is None:
            self._version += 1
            subject = Subject(destination, self._version, self._resolve(destination), self._clock())
            self._subjects[destination] = subject
            self._of_ip.setdefault(destination.ip, {})[destination] = None
        subject.followers[follower] = None
        return subject

    def leave(self, subject: Subject, follower: Follower) -> None:
        """No longer follow."""
        subject.followers.pop(follower, None)
        if subject.followers or self._subjects.get(subject.destination) is not subject:
            return
        destination = subject.destination
        del self._subjects[destination]
        self._touched.pop(destination, None)
        same = self._of_ip[destination.ip]
        del same[destination]
        if not same:
            del self._of_ip[destination.ip]

    def touch(self, touched: Touched) -> None:
        """These answers may have changed."""
        idle, now = not self._touched, self._clock()
        for destination in touched.destinations:
            if destination in self._subjects:
                self._touched.setdefault(destination, now)
        for ip in touched.ips:
            for destination in self._of_ip.get(ip, ()):
                self._touched.setdefault(destination, now)
        if idle and self._touched:
            self._later(self._refresh)

    def _refresh(self) -> None:
        """Answer anew what was touched, and tell the followers of what is different."""
        stop = self._clock() + SLICE_SECONDS
        while self._touched and self._clock() < stop:
            destination = next(iter(self._touched))
            seen_at = self._touched.pop(destination)
            subject = self._subjects[destination]
            known = self._resolve(destination)
            if known == subject.known:
                continue
            self._version += 1
            subject.renew(self._version, known, seen_at)
            for follower in subject.followers:
                follower.mark(subject)
        if self._touched:
            self._later(self._refresh)
