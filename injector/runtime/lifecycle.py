"""How a process ends: asked by a signal, or because something it cannot do without has failed."""

from __future__ import annotations

import asyncio
import resource
import signal
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

log = structlog.get_logger(__name__)


class Lifecycle:
    """Use as `async with Lifecycle() as life`; background tasks end with the block."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Lifecycle:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run until the end of the block. It is meant to run for ever: if it raises, so does `until_stopped`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def until_stopped(self) -> None:
        """Return when a signal asks to stop; raise what a background task died of."""
        await self._stop.wait()
        if self._failure is not None:
            raise self._failure

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (failure := task.exception()) is None:
            return
        log.error("a background task failed; stopping", error=repr(failure))
        self._failure = self._failure or failure
        self._stop.set()


def raise_descriptor_limit() -> None:
    """Every connection is a file descriptor; the soft limit of many container runtimes is the 1024 of the 1990s."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
