"""Turns: the one who used least goes next, and nobody waits for more than the turn in progress."""

from __future__ import annotations

import asyncio
import time

import pytest

from injector.runtime.turns import REMEMBERED_SOURCES, Turns


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_without_contention_work_runs_in_place() -> None:
    turns = Turns()
    coroutine = turns.run("a", lambda: 7)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value == 7, "it never waited"


async def test_an_exception_is_the_callers_and_the_next_turn_comes() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        await turns.run("a", lambda: 1 // 0)
    assert await turns.run("a", lambda: "next") == "next"


async def test_a_newcomer_goes_before_everything_the_hog_has_queued() -> None:
    turns, order = Turns(), []

    async def take(source: str, seconds: float) -> None:
        await turns.run(source, lambda: busy(seconds))
        order.append(source)

    hog = [asyncio.create_task(take("hog", 0.005)) for _ in range(30)]
    await asyncio.sleep(0.012)
    before = len(order)
    await take("honest", 0.0001)
    assert len(order) - before <= 3, "at most the turn in progress and the one already called"
    await asyncio.gather(*hog)
    assert order.count("hog") == 30


async def test_time_is_shared_by_time_and_not_by_number() -> None:
    turns, done = Turns(), {"large": 0, "small": 0}

    async def work(source: str, seconds: float) -> None:
        while done["small"] < 300:
            await turns.run(source, lambda: busy(seconds))
            done[source] += 1

    workers = [asyncio.create_task(work("large", 0.01)) for _ in range(5)]
    workers += [asyncio.create_task(work("small", 0.001)) for _ in range(5)]
    await asyncio.gather(*workers)
    spent = {"large": done["large"] * 0.01, "small": done["small"] * 0.001}
    assert 0.5 < spent["large"] / spent["small"] < 2.0


async def test_whoever_goes_away_while_waiting_does_not_hold_up_the_line() -> None:
    turns = Turns()
    tasks = [asyncio.create_task(turns.run("a", lambda: busy(0.003))) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[2:8]:
        task.cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 6
    assert await asyncio.wait_for(turns.run("b", lambda: 1), 1) == 1


async def test_sources_are_not_remembered_without_end() -> None:
    turns = Turns()
    for index in range(REMEMBERED_SOURCES + 10):
        await turns.run(str(index), lambda: None)
    await asyncio.sleep(0.01)
    assert len(turns._used) <= REMEMBERED_SOURCES


async def test_what_follows_elsewhere_costs_as_much_as_the_turn_itself() -> None:
    turns, done = Turns(), {"sender": 0, "other": 0}

    async def work(source: str, also: float) -> None:
        while done["other"] < 300:
            await turns.run(source, lambda: busy(0.0005), also=also)
            done[source] += 1

    await asyncio.gather(*(work("sender", 0.0045) for _ in range(5)), *(work("other", 0.0) for _ in range(5)))
    assert 5 < done["other"] / done["sender"] < 20
