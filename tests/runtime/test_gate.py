"""The books of a port: shares, eviction, and nothing left behind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from injector.runtime.gate import Gate, Reason
from injector.runtime.limits import REVIEWS

LIMITS = replace(
    REVIEWS,
    connections=6,
    connections_per_source=4,
    opening_rate=10,
    opening_burst=5,
    opening_wait_seconds=0.5,
    held_bytes=1000,
    held_bytes_per_source=600,
)


@dataclass(eq=False)
class Connection:
    source: str
    gate: Gate
    busy: bool = False
    held: int = 0
    evicted: list[Reason] = field(default_factory=list)

    def evict(self, reason: Reason) -> None:
        self.evicted.append(reason)
        self.gate.closed(self)


def connect(gate: Gate, source: str, now: float = 0.0, *, busy: bool = False) -> Connection:
    assert isinstance(gate.open(source, now), float)
    made = Connection(source, gate, busy)
    gate.opened(made)
    return made


def test_a_source_gets_its_share_and_no_more() -> None:
    gate = Gate(LIMITS)
    for _ in range(4):
        connect(gate, "a")
    assert gate.open("a", 0.0) is Reason.TOO_MANY_OF_SOURCE
    assert gate.open("b", 0.0) == 0.0


def test_opening_too_fast_waits_and_then_is_refused() -> None:
    gate = Gate(replace(LIMITS, connections=100, connections_per_source=100))
    verdicts = [gate.open("a", 0.0) for _ in range(12)]
    assert verdicts[:5] == [0.0] * 5
    waits = [verdict for verdict in verdicts[5:] if isinstance(verdict, float)]
    assert waits == sorted(waits)
    assert all(0 < wait <= 0.5 for wait in waits)
    assert verdicts[-1] is Reason.TOO_FAST


def test_a_full_port_makes_room_at_the_expense_of_whoever_has_the_most() -> None:
    gate = Gate(LIMITS)
    greedy = [connect(gate, "greedy", busy=index == 0) for index in range(4)]
    connect(gate, "b")
    connect(gate, "c")
    assert gate.open("d", 0.0) == 0.0
    assert [connection.evicted for connection in greedy] == [[], [Reason.MADE_ROOM], [], []], "the oldest idle one"
    assert gate.total == 6


def test_a_full_port_makes_no_room_for_the_greediest() -> None:
    gate = Gate(LIMITS)
    for source in ("a", "a", "b", "b", "c", "c"):
        connect(gate, source)
    assert gate.open("a", 0.0) is Reason.TOO_MANY
    assert gate.open("d", 0.0) == 0.0, "a newcomer with nothing does get in"


def test_bytes_are_shared_and_given_back() -> None:
    gate = Gate(LIMITS)
    one, two = connect(gate, "a"), connect(gate, "a")
    assert gate.hold(one, 500) is None
    assert gate.hold(two, 200) is Reason.TOO_MUCH_HELD
    gate.release(one)
    assert gate.hold(two, 200) is None
    gate.closed(two)
    assert gate.held == 0


def test_when_all_bytes_are_held_the_largest_holder_goes() -> None:
    gate = Gate(LIMITS)
    large, small, third = connect(gate, "large"), connect(gate, "small"), connect(gate, "third")
    assert gate.hold(large, 600) is None
    assert gate.hold(third, 350) is None
    assert gate.hold(small, 100) is None
    assert large.evicted == [Reason.TOO_MUCH_HELD]
    assert gate.held == 450


def test_the_largest_holder_is_refused_more_and_keeps_what_it_has() -> None:
    gate = Gate(LIMITS)
    large, other = connect(gate, "large"), connect(gate, "other")
    assert gate.hold(large, 500) is None
    assert gate.hold(other, 450) is None
    assert gate.hold(large, 60) is Reason.TOO_MUCH_HELD
    assert (large.held, gate.held) == (500, 950)


def test_an_evicted_connection_may_be_closed_again_after_its_source_is_forgotten() -> None:
    gate = Gate(LIMITS)
    connection = connect(gate, "a")
    gate.closed(connection)
    gate.forget(100.0)
    gate.closed(connection)
    gate.release(connection)
    assert (gate.total, gate.held) == (0, 0)


def test_sources_are_forgotten_once_they_owe_nothing() -> None:
    gate = Gate(LIMITS)
    connection = connect(gate, "a")
    gate.forget(100.0)
    assert "a" in gate.sources
    gate.closed(connection)
    gate.forget(100.0)
    assert not gate.sources


class GateMachine(RuleBasedStateMachine):
    """Any order of arrivals, bytes and departures keeps the books straight and the limits kept."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate(LIMITS)
        self.now = 0.0
        self.pending: list[str] = []
        self.open: list[Connection] = []

    @rule(source=st.sampled_from("abc"), later=st.floats(0, 1))
    def arrive(self, source: str, later: float) -> None:
        self.now += later
        if isinstance(self.gate.open(source, self.now), float):
            self.pending.append(source)

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), busy=st.booleans(), fails=st.booleans())
    def shake_hands(self, data: st.DataObject, busy: bool, fails: bool) -> None:
        source = data.draw(st.sampled_from(self.pending))
        self.pending.remove(source)
        if fails:
            self.gate.abandoned(source)
            return
        made = Connection(source, self.gate, busy)
        self.gate.opened(made)
        self.open.append(made)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), count=st.integers(1, 700))
    def receive(self, data: st.DataObject, count: int) -> None:
        self.gate.hold(data.draw(st.sampled_from(self.open)), count)
        self._drop_evicted()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), close=st.booleans())
    def finish(self, data: st.DataObject, close: bool) -> None:
        connection = data.draw(st.sampled_from(self.open))
        if close:
            self.gate.closed(connection)
            self.open.remove(connection)
        else:
            self.gate.release(connection)

    def _drop_evicted(self) -> None:
        self.open = [connection for connection in self.open if not connection.evicted]

    @invariant()
    def books_are_straight(self) -> None:
        self._drop_evicted()
        self.gate.forget(self.now)
        assert self.gate.total == len(self.pending) + len(self.open) <= LIMITS.connections
        assert self.gate.held == sum(connection.held for connection in self.open) <= LIMITS.held_bytes
        for source in "abc":
            mine = [connection for connection in self.open if connection.source == source]
            assert len(mine) + self.pending.count(source) <= LIMITS.connections_per_source
            assert sum(connection.held for connection in mine) <= LIMITS.held_bytes_per_source


GateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGate = GateMachine.TestCase
