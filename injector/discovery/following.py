"""What one stream follows, and what it has still to be sent: never more than one message a destination, however slow
its reader. A version that is overtaken before it could be sent is never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from injector.discovery import wire
from injector.discovery.metrics import Form, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from injector.discovery.board import Board, Subject
    from injector.discovery.metrics import DiscoveryMetrics
    from injector.discovery.model import Destination

MOST_DESTINATIONS: Final = 1024
"""Destinations that one stream may follow. A pod that really talks to more is a scanner, or a proxy for others; at some
600 bytes a followed address that belongs to nobody, a stream can hold 0.6 MB."""

MOST_DUE: Final = 2 * MOST_DESTINATIONS
"""Messages that a stream may owe: one for each destination followed, and as many refusals. A reader that asks for more
without taking answers is not read from until it has."""


class Parameters(NamedTuple):
    """What holds for a stream, as last sent."""

    zone: str
    issuer: bytes
    renew_within_seconds: int


class Followed:
    """One destination of one stream: the versions sent first and last (0: none yet)."""

    __slots__ = ("first", "sent", "subject")

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.first = 0
        self.sent = 0


class Following:
    """The state of one stream. `wake` is called when there is something to send after there was nothing."""

    def __init__(
        self, board: Board, metrics: DiscoveryMetrics, clock: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        self._board = board
        self._metrics = metrics
        self._clock = clock
        self._wake = wake
        self._followed: dict[Destination, Followed] = {}
        self._due: dict[Destination, None] = {}
        self._parameters: bytes | None = None

    def __len__(self) -> int:
        return len(self._followed)

    @property
    def owes(self) -> bool:
        """Whether anything is due."""
        return bool(self._due) or self._parameters is not None

    @property
    def owes_much(self) -> bool:
        """Whether no more should be asked of this stream before some of what is due was taken."""
        return len(self._due) >= MOST_DUE

    def tell(self, parameters: Parameters) -> None:
        """The stream's parameters, new or changed; they go out before anything else."""
        self._parameters = wire.parameters(
            parameters.zone, MOST_DESTINATIONS, parameters.issuer, parameters.renew_within_seconds
        )
        self._wake()

    def subscribe(self, destinations: Iterable[Destination]) -> None:
        """Follow these as well, as far as the cap allows; the others are answered with a refusal."""
        for destination in destinations:
            if destination in self._followed:
                continue
            if len(self._followed) < MOST_DESTINATIONS:
                self._followed[destination] = Followed(self._board.follow(destination, self))
            self._due[destination] = None
        self._wake()

    def unsubscribe(self, destinations: Iterable[Destination]) -> None:
        """Follow these no longer."""
        for destination in destinations:
            self._due.pop(destination, None)
            followed = self._followed.pop(destination, None)
            if followed is not None:
                self._board.leave(followed.subject, self)

    def acknowledge(self, destination: Destination, version: int) -> None:
        """The proxy uses this version: how long that took is worth knowing where it is the news of a change, and not
        the first answer to a question."""
        followed = self._followed.get(destination)
        if followed is not None and version == followed.subject.version != followed.first:
            self._metrics.acknowledged(self._clock() - followed.subject.changed_at)

    def mark(self, subject: Subject) -> None:
        """There is a newer version of a destination that is followed."""
        self._due[subject.destination] = None
        self._wake()

    def next(self) -> bytes | None:
        """The next message to send, made of what is newest at this moment; None while there is nothing."""
        if self._parameters is not None:
            parameters, self._parameters = self._parameters, None
            return parameters
        if not self._due:
            return None
        destination = next(iter(self._due))
        del self._due[destination]
        followed = self._followed.get(destination)
        if followed is None:
            self._metrics.refused(Reason.TOO_MANY_DESTINATIONS)
            return wire.refused(destination)
        message, is_delta = followed.subject.message(followed.sent)
        followed.sent = followed.subject.version
        followed.first = followed.first or followed.sent
        self._metrics.sent(Form.DELTA if is_delta else Form.SNAPSHOT)
        return message

    def close(self) -> None:
        """The stream is gone."""
        self._due.clear()
        for followed in self._followed.values():
            self._board.leave(followed.subject, self)
        self._followed.clear()
