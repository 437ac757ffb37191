"""When a part asks for another certificate, and what it does not take for one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from injector.api import mesh_pb2 as pb
from injector.pki import SpiffeId, new_key, read_bundle, read_key, read_signer
from injector.runtime.certified import Certified, Held, _held
from tests.pki.making import DAY, Made, make

if TYPE_CHECKING:
    from pathlib import Path

ME = SpiffeId("cluster.local", "injector-system", "injector-discovery")
NOW = datetime.now(UTC)
ROOT = make("root", begin=NOW - DAY, end=NOW + 90 * DAY)
MIDDLE = make("middle", ROOT, begin=NOW - DAY, end=NOW + 90 * DAY)


def answer(key: bytes, issuer: Made, *above: Made, left: timedelta = timedelta(hours=3)) -> pb.CertifyResponse:
    signer = read_signer(issuer.pem + b"".join(each.pem for each in above), issuer.key)
    private = read_key(key)
    assert signer is not None
    assert private is not None
    leaf = signer.issue(ME, private.public_key(), datetime.now(UTC), left)
    return pb.CertifyResponse(chain=leaf.chain, not_after=int(leaf.not_after.timestamp()))


def issuer(by: Made = ROOT) -> Made:
    return make("issuer", by, begin=NOW - DAY, end=NOW + 90 * DAY)


def held(made: Made, *above: Made) -> Held:
    key = new_key()
    return _held(key, ROOT.pem, answer(key, made, *above), time.time())


def test_a_third_of_what_is_left_counted_from_its_arrival() -> None:
    found, now = held(issuer()), time.time()
    assert 3600 * 0.9 - 5 <= found.renew_at - now <= 3600 * 1.1 + 5


@pytest.mark.parametrize("above", [(), (MIDDLE,)])
def test_an_issuer_is_trusted_through_what_stands_above_it(above: tuple[Made, ...]) -> None:
    made = issuer(above[0] if above else ROOT)
    found = held(made, *above)
    assert found.issuer.id == read_bundle(made.pem)[0].id
    assert found.trusted()


def test_answers_that_are_of_no_use() -> None:
    key = new_key()
    good = answer(key, issuer())
    with pytest.raises(ValueError, match="expected a certificate of our key"):
        _held(new_key(), ROOT.pem, good, time.time())
    with pytest.raises(ValueError, match="two certificates or more, got 1"):
        _held(key, ROOT.pem, pb.CertifyResponse(chain=good.chain[:1], not_after=good.not_after), time.time())
    with pytest.raises(ValueError, match="expired 60 s ago by our clock"):
        _held(key, ROOT.pem, good, good.not_after + 60.0)


class Asked(Certified):
    """Answers itself, and counts."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "nowhere:1", ME)
        self.made = issuer()
        self.times = 0

    async def _certify(self, roots: bytes) -> Held:
        self.times += 1
        key = new_key()
        return _held(key, roots, answer(key, self.made), time.time())


async def test_a_wish_that_nobody_can_fulfil_is_asked_for_less_and_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    part, clock = Asked(tmp_path), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    await part._keep()
    assert part.times == 1

    successor = issuer()
    (wished,) = read_bundle(successor.pem)
    part.wish(bytes.fromhex(wished.id))
    for _ in range(720):  # an hour, a look each 5 s
        await part._keep()
        clock[0] += 5
    # 5, 10, 20, 40, 80, 160 s apart, then every 300: some 17, where a request each look would be 720.
    assert 12 <= part.times <= 22

    part.made = successor
    clock[0] += 300
    await part._keep()
    asked = part.times
    for _ in range(50):
        await part._keep()
        clock[0] += 5
    assert part.times == asked


async def test_whoever_serves_with_it_hears_of_another_and_of_none_that_is_no_better(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    part, successor = Asked(tmp_path), issuer()
    await part._keep()
    first = await part.material(None)
    waiting = asyncio.create_task(part.material(first))
    (wished,) = read_bundle(successor.pem)
    part.wish(bytes.fromhex(wished.id))
    await part._keep()  # in vain: the same issuer has signed another key
    await asyncio.sleep(0)
    assert part.times == 2
    assert not waiting.done()

    part.made, part._ask_again = successor, 0.0
    await part._keep()
    async with asyncio.timeout(1):
        second = await waiting
    assert second.chain != first.chain
    assert part.trust().issuer == bytes.fromhex(wished.id)


async def test_roots_that_are_none_do_not_replace_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    part = Asked(tmp_path)
    await part._keep()
    before = part.trust()
    (tmp_path / "roots.pem").write_bytes(b"")
    with pytest.raises(ValueError, match=r"roots\.pem: expected at least one certificate"):
        await part._keep()
    assert part.trust() == before
