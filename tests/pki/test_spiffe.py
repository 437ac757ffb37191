"""Identities as text: one form, both ways, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.pki import SpiffeId

NAMESPACES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
ACCOUNTS = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,40}[a-z0-9])?", fullmatch=True)
DOMAINS = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,3}", fullmatch=True)
IDS = st.builds(SpiffeId, DOMAINS, NAMESPACES, ACCOUNTS)


@given(IDS)
def test_what_is_written_is_read(identity: SpiffeId) -> None:
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text(max_size=80))
def test_whatever_is_read_was_written_by_us(text: str) -> None:
    read = SpiffeId.parse(f"spiffe://cluster.local/ns/{text}")
    assert read is None or str(read) == f"spiffe://cluster.local/ns/{text}"


@given(IDS, IDS)
def test_two_identities_of_a_trust_domain_never_share_a_dns_name(one: SpiffeId, other: SpiffeId) -> None:
    other = SpiffeId(one.trust_domain, other.namespace, other.service_account)
    assert one == other or one.dns_name is None or one.dns_name != other.dns_name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cluster.local/ns/shop/sa/web",
        "https://cluster.local/ns/shop/sa/web",
        "SPIFFE://cluster.local/ns/shop/sa/web",
        "spiffe:///ns/shop/sa/web",
        "spiffe://Cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local:443/ns/shop/sa/web",
        "spiffe://user@cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/",
        "spiffe://cluster.local/ns//sa/web",
        "spiffe://cluster.local/ns/shop/sa/web/",
        "spiffe://cluster.local/ns/shop/sa/web?x",
        "spiffe://cluster.local/ns/shop/sa/web#x",
        "spiffe://cluster.local/ns/shop/sa/web\n",
        "spiffe://cluster.local/ns/sh.op/sa/web",
        "spiffe://cluster.local/ns/shop/sa/%77eb",
        "spiffe://cluster.local/ns/shop/sa/web/../api",
        f"spiffe://cluster.local/ns/{'n' * 64}/sa/web",
    ],
)
def test_no_other_form_is_accepted(text: str) -> None:
    assert SpiffeId.parse(text) is None


def test_a_user_of_the_api_server() -> None:
    expected = SpiffeId("td", "shop", "web.v2")
    assert SpiffeId.of_user("system:serviceaccount:shop:web.v2", "td") == expected
    for other in ("alice", "system:node:a", "system:serviceaccount:shop", "system:serviceaccount:a:b:c", ""):
        assert SpiffeId.of_user(other, "td") is None


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (SpiffeId("td", "shop", "web"), "web.shop.id.td"),
        (SpiffeId("td", "shop", "w" * 63), f"{'w' * 63}.shop.id.td"),
        (SpiffeId("td", "shop", "w" * 64), None),
        (SpiffeId("td", "n" * 63, ".".join(["w" * 60] * 4)), None),
    ],
)
def test_the_dns_name_is_left_out_where_dns_has_no_room_for_it(identity: SpiffeId, expected: str | None) -> None:
    assert identity.dns_name == expected
