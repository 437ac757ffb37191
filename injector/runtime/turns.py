"""Fair turns on the one CPU that a part's requests run on.

A review is pure computation, from 0.1 ms to some 100 ms for the largest hostile body; an answer of discovery is 5 µs to
some ms. Run in the order they arrive, a source with 250 connections would get 250 turns for each one of the others'.
Instead, whoever has used the least CPU time goes next (start-time fair queueing, with the measured seconds of each turn
as its cost), and between two turns the event loop looks at its sockets, so that a newcomer waits for the turn in
progress and no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import thread_time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Short turns may follow each other without a look at the sockets until this much time has gone by.
SLICE_SECONDS = 0.002
# Sources remembered while nobody waits; forgetting costs nothing but a level start.
REMEMBERED_SOURCES = 4096


class Turns:
    """Runs work in fair order; without contention, at once and in place. `slice_seconds` is what may be spent between
    two looks at the sockets."""

    def __init__(self, slice_seconds: float = SLICE_SECONDS) -> None:
        self._slice_seconds = slice_seconds
        self._used: dict[str, float] = {}
        self._floor = 0.0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._spent = 0.0
        self._pass_ahead = False

    async def run(self, source: str, work: Callable[[], T], *, also: float = 0.0) -> T:
        """Run `work` when it is this source's turn; its result or exception. `also` are seconds that follow from it
        elsewhere, such as the sending of what it made, and cost the source as much."""
        if self._waiting or self._spent >= self._slice_seconds:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(source, deque()).append(turn)
            self._schedule()
            await turn
        started = thread_time()  # not the clock on the wall: being preempted is not the fault of whoever had the turn
        try:
            return work()
        finally:
            self._charge(source, thread_time() - started + also)

    def _charge(self, source: str, seconds: float) -> None:
        self._spent += seconds
        self._used[source] = max(self._used.get(source, 0.0), self._floor) + seconds
        self._schedule()

    def _schedule(self) -> None:
        if not self._pass_ahead:
            self._pass_ahead = True
            asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        """The event loop has looked at its sockets since the last turn: a new slice, and the next in line."""
        self._pass_ahead = False
        self._spent = 0.0
        while self._waiting:
            self._schedule()
            source = min(self._waiting, key=self._start)
            queue = self._waiting[source]
            turn = queue.popleft()
            if not queue:
                del self._waiting[source]
            if not turn.done():  # its connection may have gone away
                self._floor = self._start(source)
                turn.set_result(None)
                return
        if len(self._used) > REMEMBERED_SOURCES:
            self._used.clear()

    def _start(self, source: str) -> float:
        return max(self._used.get(source, 0.0), self._floor)
