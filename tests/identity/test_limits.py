"""How often anybody may ask, and that nobody takes another's share."""

from __future__ import annotations

import pytest

from injector.identity import limits
from injector.identity.limits import Limits
from injector.identity.refusals import Reason, Refused


def accepted(held: Limits, source: str, now: float, times: int) -> int:
    """How many of so many arrivals are let in."""
    count = 0
    for _ in range(times):
        try:
            held.arrive(source, now)
        except Refused:
            continue
        count += 1
    return count


def test_a_node_full_of_pods_may_start_at_once_behind_one_address() -> None:
    assert accepted(Limits(), "10.0.0.1", 1.0, 110) == 110


def test_an_address_is_held_to_its_rate_and_the_others_are_not() -> None:
    held = Limits()
    assert accepted(held, "10.0.0.1", 1.0, 1000) == limits.SOURCE_BURST
    assert accepted(held, "10.0.0.1", 2.0, 1000) == limits.SOURCE_RATE
    with pytest.raises(Refused) as refused:
        held.arrive("10.0.0.1", 2.0)
    assert refused.value.reason is Reason.TOO_MANY_OF_SOURCE
    assert accepted(held, "10.0.0.2", 2.0, 10) == 10


def test_who_is_refused_again_and_again_is_not_listened_to() -> None:
    """Ten pods without a good token, as fast as they can for a minute, leave nearly all of the rate to the others."""
    held, spent = Limits(), 0
    for tick in range(600):
        now = tick / 10
        for pod in range(10):
            source = f"10.0.0.{pod}"
            let_in = accepted(held, source, now, 5)
            spent += let_in
            for _ in range(let_in):
                held.refused(source, Reason.TOKEN_NOT_ACCEPTED, now)
    # Up to four more get in beside the last one that is owed, each tick: the five arrive before any is refused.
    assert spent <= 10 * (limits.REFUSED_BURST + 60 * limits.REFUSED_RATE * 5 + 5)
    assert accepted(held, "10.0.1.1", 60.0, 100) == 100


@pytest.mark.parametrize("reason", [Reason.NO_ISSUER, Reason.NO_API_SERVER, Reason.TOO_MANY, Reason.TOO_MANY_OF_SOURCE])
def test_what_is_not_the_askers_fault_is_not_held_against_it(reason: Reason) -> None:
    held = Limits()
    for _ in range(1000):
        held.refused("10.0.0.1", reason, 1.0)
    assert accepted(held, "10.0.0.1", 1.0, 1) == 1


def test_a_pod_is_held_to_its_rate_wherever_it_comes_from() -> None:
    held = Limits()
    for _ in range(int(limits.POD_BURST)):
        held.certify("uid-1", 1.0)
    with pytest.raises(Refused) as refused:
        held.certify("uid-1", 1.0)
    assert refused.value.reason is Reason.TOO_MANY_OF_POD
    held.certify("uid-2", 1.0)
    held.certify("uid-1", 1.0 + 1 / limits.POD_RATE)


def test_all_together_are_held_to_the_rate() -> None:
    held = Limits()
    let_in = sum(accepted(held, f"10.1.{number // 250}.{number % 250}", 1.0, 1) for number in range(1000))
    assert let_in == limits.BURST


def test_memory_is_bounded_by_forgetting_who_was_away_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 100)
    held = Limits()
    for number in range(1000):
        held.certify(f"uid-{number}", float(number))
        held.certify("uid-busy", float(number) * 5)
    assert len(held._pods) == 100
    for _ in range(20):  # it was never forgotten: what it owes is still known
        try:
            held.certify("uid-busy", 5000.0)
        except Refused:
            break
    else:
        pytest.fail("the busiest of all was forgotten")
