"""When the issuer gets another key: as tables, and as a property of every crash."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.identity.objects import Asked, Kept, Public
from injector.identity.plan import LOOK_AGAIN, Step, plan
from injector.pki import Pair, faults_of_issuer, issuer_request, make_root, new_key, read_signer, sign_issuer
from tests.pki.making import DAY, NOW, YEAR

if TYPE_CHECKING:
    from datetime import datetime, timedelta

ROOT, OTHER = make_root(NOW, 10 * YEAR), make_root(NOW, 10 * YEAR)
KEY, NEXT = new_key(), new_key()
LIFE = 300 * DAY


def signed(key: bytes, root: Pair = ROOT, life: timedelta = LIFE, now: datetime = NOW) -> bytes:
    return sign_issuer(root, issuer_request(key, now), now, life)


def kept(chain: bytes, key: bytes = KEY, next_key: bytes = b"", generation: int = 0) -> Kept:
    return Kept("1", read_signer(chain, key), chain, key, next_key, generation)


CHAIN = signed(KEY)
PUBLIC = Public(ROOT.certificate.pem + OTHER.certificate.pem, ROOT.certificate.id, CHAIN)
ASKED = Asked("1", issuer_request(NEXT, NOW))
PENDING = kept(CHAIN, next_key=NEXT)


@pytest.mark.parametrize(
    ("held", "public", "asked", "after", "step"),
    [
        (Kept(), Public(), Asked(), 0 * DAY, Step.MAKE_KEY),
        (kept(CHAIN), PUBLIC, Asked(), 0 * DAY, None),
        (kept(CHAIN), PUBLIC, Asked(), 199 * DAY, None),
        (kept(CHAIN), PUBLIC, Asked(), 200 * DAY, Step.MAKE_KEY),
        (kept(CHAIN), replace(PUBLIC, wanted=1), Asked(), 0 * DAY, Step.MAKE_KEY),
        (kept(CHAIN, generation=1), replace(PUBLIC, wanted=1), Asked(), 0 * DAY, None),
        (kept(CHAIN), replace(PUBLIC, current_root=OTHER.certificate.id), Asked(), 0 * DAY, Step.MAKE_KEY),
        (kept(CHAIN), replace(PUBLIC, current_root="nobody knows"), Asked(), 0 * DAY, None),
        (kept(CHAIN, key=NEXT), PUBLIC, Asked(), 0 * DAY, Step.MAKE_KEY),
        (PENDING, PUBLIC, Asked(), 0 * DAY, Step.ASK),
        (PENDING, PUBLIC, Asked("1", issuer_request(KEY, NOW)), 0 * DAY, Step.ASK),
        (PENDING, PUBLIC, Asked("1", b"damaged"), 0 * DAY, Step.ASK),
        (PENDING, PUBLIC, ASKED, 0 * DAY, None),
        (PENDING, replace(PUBLIC, issuer=signed(NEXT)), ASKED, 0 * DAY, Step.ADOPT),
        (PENDING, replace(PUBLIC, issuer=signed(NEXT, OTHER)), ASKED, 0 * DAY, Step.ADOPT),
        (PENDING, replace(PUBLIC, issuer=signed(NEXT, make_root(NOW, YEAR))), ASKED, 0 * DAY, None),
        (PENDING, replace(PUBLIC, issuer=signed(NEXT, life=DAY)), ASKED, 2 * DAY, None),
        (PENDING, replace(PUBLIC, issuer=b"damaged"), ASKED, 0 * DAY, None),
        (kept(CHAIN, next_key=b"damaged"), PUBLIC, ASKED, 0 * DAY, None),
    ],
    ids=[
        "nothing-there",
        "all-well",
        "before-two-thirds",
        "after-two-thirds",
        "wished-for",
        "wish-met",
        "another-root-signs",
        "root-unknown",
        "key-of-another",
        "not-asked",
        "asked-for-an-older-key",
        "request-damaged",
        "waiting",
        "signed",
        "signed-by-a-trusted-root",
        "signed-by-a-root-that-nobody-trusts",
        "signed-and-expired",
        "answer-damaged",
        "next-key-damaged",
    ],
)
def test_the_next_step(held: Kept, public: Public, asked: Asked, after: timedelta, step: Step | None) -> None:
    found = plan(held, public, asked, NOW + after)
    assert found.step is step
    assert step is not None or NOW + after < found.again <= NOW + after + LOOK_AGAIN


@given(st.lists(st.sampled_from(["issuer", "controller", "wish", "root"]), min_size=1, max_size=12))
def test_whoever_acts_in_whatever_order_something_signs_all_the_time_and_in_the_end_it_is_what_was_wished(
    actors: list[str],
) -> None:
    """A crash is a turn that does not come: every order of turns is an order of crashes and restarts."""
    held, public, asked = kept(CHAIN), PUBLIC, Asked()
    for actor in [*actors, *["issuer", "controller"] * 8]:
        if actor == "wish":
            public = replace(public, wanted=public.wanted + 1)
        elif actor == "root":
            public = replace(public, current_root=OTHER.certificate.id)
        elif actor == "controller" and asked.csr:
            root = ROOT if public.current_root == ROOT.certificate.id else OTHER
            public = replace(public, issuer=sign_issuer(root, asked.csr, NOW, LIFE))
        elif actor == "issuer":
            held, asked = taken(held, public, asked)
        assert faults_of_issuer(held.chain, held.key, public.roots, NOW) == []

    assert plan(held, public, asked, NOW).step is None
    assert held.generation == public.wanted
    root = ROOT if public.current_root == ROOT.certificate.id else OTHER
    assert faults_of_issuer(held.chain, held.key, root.certificate.pem, NOW) == []


def taken(held: Kept, public: Public, asked: Asked) -> tuple[Kept, Asked]:
    """What the leader leaves behind after one step."""
    match plan(held, public, asked, NOW).step:
        case Step.MAKE_KEY:
            return kept(held.chain, held.key, new_key(), public.wanted), asked
        case Step.ASK:
            return held, Asked("1", issuer_request(held.next_key, NOW))
        case Step.ADOPT:
            return kept(public.issuer, held.next_key, b"", held.generation), asked
        case None:
            return held, asked
