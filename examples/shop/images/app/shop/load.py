"""A crowd of customers: asks for pages at a steady rate, buys now and then, says how it went. `python3 -m shop.load`.

One line every few seconds, such as
    120 requests (20.0/s), 12 orders, 0 failed, p50 4.2 ms, p99 11.8 ms
and, below it, the most frequent reasons of failures. /run/shop/alive is touched with each line, for a liveness probe.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shop.settings import number, required

LINE_SECONDS = 5.0
ORDER_EVERY = 10  # every tenth request buys
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=2.0)
# The schedule does not wait for slow answers (a real crowd does not either), but there is an end to what may pile up.
MOST_IN_FLIGHT = 200
PRODUCTS = 6
ALIVE = Path("/run/shop/alive")


@dataclass
class Tally:
    """What happened since the last line."""

    seconds: list[float] = field(default_factory=list)
    orders: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def line(self, elapsed: float) -> str:
        requests = len(self.seconds) + self.failures.total()
        words = [f"{requests} requests ({requests / elapsed:.1f}/s)", f"{self.orders} orders"]
        words.append(f"{self.failures.total()} failed")
        if self.seconds:
            ordered = sorted(self.seconds)
            words += [f"p{share} {ordered[(len(ordered) - 1) * share // 100] * 1000:.1f} ms" for share in (50, 99)]
        reasons = "".join(f"\n    {count} x {reason}" for reason, count in self.failures.most_common(3))
        return ", ".join(words) + reasons


class Crowd:
    """Requests at a fixed rate until `stop` is set; then those in flight may finish."""

    def __init__(self, shop: str, rate: float, stop: asyncio.Event) -> None:
        self._shop = shop
        self._rate = rate
        self._stop = stop
        self._tally = Tally()
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=REQUEST_TIMEOUT) as client:
            reporter = asyncio.create_task(self._report())
            start, count = time.monotonic(), 0
            while not await self._sleep_until(start + count / self._rate):
                if len(self._in_flight) < MOST_IN_FLIGHT:
                    self._send(client, count)
                else:
                    self._tally.failures["not sent: too many answers are outstanding"] += 1
                count += 1
            await asyncio.gather(*self._in_flight)
            await reporter

    async def _sleep_until(self, moment: float) -> bool:
        """Sleep to the moment on the clock. Returns whether it is time to stop."""
        try:
            async with asyncio.timeout(max(0.0, moment - time.monotonic())):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _send(self, client: aiohttp.ClientSession, count: int) -> None:
        task = asyncio.create_task(self._request(client, count))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _request(self, client: aiohttp.ClientSession, count: int) -> None:
        buys = count % ORDER_EVERY == 0
        method, path = ("POST", "/buy") if buys else ("GET", "/")
        form = {"product": str(count // ORDER_EVERY % PRODUCTS + 1)} if buys else None
        started = time.monotonic()
        try:
            async with client.request(method, f"{self._shop}{path}", data=form) as answer:
                await answer.read()
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tally.failures[f"{method} {path}: {type(error).__name__} {error}"] += 1
            return
        self._tally.seconds.append(time.monotonic() - started)
        self._tally.orders += buys

    async def _report(self) -> None:
        last = time.monotonic()
        while not await self._sleep_until(last + LINE_SECONDS):
            now = time.monotonic()
            print(self._tally.line(now - last))
            self._tally, last = Tally(), now
            _show_life()


def _show_life() -> None:
    """A file in memory: this takes microseconds, so it may block the loop."""
    ALIVE.touch()


async def main() -> None:
    stop = asyncio.Event()
    for end in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(end, stop.set)
    await Crowd(required("SHOP_URL"), number("REQUESTS_PER_SECOND", 20.0), stop).run()


if __name__ == "__main__":
    asyncio.run(main())
