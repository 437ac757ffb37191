"""Leader election: one leader, no gap in safety, through outages, rivals and skewed clocks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from injector.kube import lease as lease_module
from injector.kube.lease import LEASE_SECONDS, RENEW_DEADLINE_SECONDS, Candidate, Election, Turn
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

PATH = "/apis/coordination.k8s.io/v1/namespaces/system/leases/work"


def lease(holder: str, version: int, duration: int = LEASE_SECONDS) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": "1970-01-01T00:00:00.000000Z"}
    return {"metadata": {"resourceVersion": str(version)}, "spec": spec}


def test_a_candidate_waits_until_it_has_itself_seen_the_lease_stand_still() -> None:
    candidate = Candidate("me")
    assert candidate.observe(lease("other", 1), now=1000.0) is Turn.WAIT, "renewTime of 1970 says nothing"
    assert candidate.observe(lease("other", 1), now=1014.9) is Turn.WAIT
    assert candidate.observe(lease("other", 2), now=1014.9) is Turn.WAIT
    assert candidate.observe(lease("other", 2), now=1029.8) is Turn.WAIT
    assert candidate.observe(lease("other", 2), now=1029.9) is Turn.TAKE


def test_a_lease_that_was_given_up_or_is_ours_is_free() -> None:
    assert Candidate("me").observe(lease("", 1), now=0.0) is Turn.TAKE
    assert Candidate("me").observe(lease("me", 1), now=0.0) is Turn.TAKE


def test_a_holder_that_asked_for_longer_gets_it_and_for_shorter_does_not() -> None:
    candidate = Candidate("me")
    candidate.observe(lease("other", 1, duration=60), now=0.0)
    assert candidate.observe(lease("other", 1, duration=60), now=59.0) is Turn.WAIT
    impatient = Candidate("me")
    impatient.observe(lease("other", 1, duration=1), now=0.0)
    assert impatient.observe(lease("other", 1, duration=1), now=LEASE_SECONDS - 0.1) is Turn.WAIT


@settings(max_examples=200, deadline=None)
@given(
    renewals=st.lists(st.floats(0.1, RENEW_DEADLINE_SECONDS), max_size=20),
    looks=st.lists(st.floats(0.05, 5.0), min_size=1, max_size=100),
    skew=st.floats(-1e6, 1e6),
    speed=st.floats(0.75, 1.25),
)
def test_nobody_takes_over_while_the_leader_may_still_lead(
    renewals: list[float], looks: list[float], skew: float, speed: float
) -> None:
    """The leader renews at these intervals and stops `RENEW_DEADLINE_SECONDS` after its last renewal; the candidate's
    clock is off by anything and runs up to a quarter fast or slow."""
    written = [0.0]
    for interval in renewals:
        written.append(written[-1] + interval)
    leads_until = written[-1] + RENEW_DEADLINE_SECONDS
    candidate, now = Candidate("me"), 0.0
    for look in looks:
        now += look
        version = sum(1 for moment in written if moment <= now)
        if candidate.observe(lease("leader", version), now * speed + skew) is Turn.TAKE:
            assert now >= leads_until
            return


class Replica:
    """One replica's election, and when it leads."""

    def __init__(self, kube: KubeClient, identity: str) -> None:
        self.election = Election(kube, namespace="system", name="work", identity=identity)
        self.terms = 0
        self.working = False

    async def work(self) -> None:
        self.terms += 1
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[Replica]:
    task = asyncio.create_task(replica.election.run(replica.work))
    try:
        yield replica
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elections in tests take seconds; what is computed without waiting keeps the real numbers."""
    if "kube" not in request.fixturenames:
        return
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(lease_module, "RENEW_DEADLINE_SECONDS", 1.0)
    monkeypatch.setattr(lease_module, "RETRY_SECONDS", 0.1)


async def test_one_leads_and_hands_over_at_once_when_it_stops(kube: KubeClient, api: FakeApi) -> None:
    second = Replica(kube, "second")
    async with running(Replica(kube, "first")) as first:
        await until(lambda: first.working)
        assert first.election.leading
        async with running(second):
            await asyncio.sleep(0.5)
            assert not second.working
            assert api.objects[PATH]["spec"]["holderIdentity"] == "first"
    assert not first.working
    async with running(second):
        await until(lambda: second.working, seconds=0.7)
    spec = api.objects[PATH]["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("", 2)


async def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_start(kube: KubeClient, api: FakeApi) -> None:
    loop = asyncio.get_running_loop()
    async with running(Replica(kube, "first")) as first:
        await until(lambda: first.working)
        began = loop.time()
        api.intercept = lambda _: status(500, "InternalError")
        await until(lambda: not first.working, seconds=3)
        assert loop.time() - began < 1.3
        assert first.terms == 1
        api.intercept = lambda _: None
        await until(lambda: first.working)
        assert first.terms == 2


async def test_a_leader_whose_requests_hang_stops_in_time(kube: KubeClient, api: FakeApi) -> None:
    loop = asyncio.get_running_loop()
    async with running(Replica(kube, "first")) as first:
        await until(lambda: first.working)
        began = loop.time()
        api.delay = 5.0
        await until(lambda: not first.working, seconds=3)
        assert loop.time() - began < 1.3
        api.delay = 0.0


async def test_a_leader_that_was_deposed_stops_at_its_next_renewal(kube: KubeClient, api: FakeApi) -> None:
    async with running(Replica(kube, "first")) as first:
        await until(lambda: first.working)
        api.put(PATH, lease("usurper", 0))
        await until(lambda: not first.working, seconds=0.5)
        await asyncio.sleep(0.5)
        assert not first.working
        assert api.objects[PATH]["spec"]["holderIdentity"] == "usurper", "and leaves the other's lease alone"


async def test_a_dead_leader_is_followed_once_its_lease_has_run_out(kube: KubeClient, api: FakeApi) -> None:
    api.put(PATH, lease("dead", 0, duration=1))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with running(Replica(kube, "next")) as replica:
        await until(lambda: replica.working)
        assert 1.4 <= loop.time() - began < 2.5


async def test_a_write_whose_answer_was_lost_is_recognised(kube: KubeClient, api: FakeApi) -> None:
    async with running(Replica(kube, "first")) as first:
        await until(lambda: first.working)
        spec = api.objects[PATH]["spec"]
        api.put(PATH, {"metadata": {"name": "work"}, "spec": spec | {"renewTime": "later"}})
        await asyncio.sleep(0.4)
        assert first.terms == 1
        assert first.working


async def test_of_two_that_try_at_once_one_wins(kube: KubeClient, api: FakeApi) -> None:
    async with running(Replica(kube, "a")) as a, running(Replica(kube, "b")) as b:
        await until(lambda: a.working or b.working)
        await asyncio.sleep(0.5)
        assert a.working != b.working


async def test_work_that_fails_gives_up_the_lease_and_is_heard_of(kube: KubeClient, api: FakeApi) -> None:
    election = Election(kube, namespace="system", name="work", identity="first")

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(election.run(fail), 3)
    assert api.objects[PATH]["spec"]["holderIdentity"] == ""
