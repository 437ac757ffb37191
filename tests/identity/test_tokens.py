"""Whose token it is, by what the API server says of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.identity.refusals import Reason, Refused
from injector.identity.tokens import POD_NAME, POD_UID, Bearer, bearer
from injector.inject.names import TOKEN_AUDIENCE
from injector.pki import SpiffeId
from tests.identity.world import user

WEB = "system:serviceaccount:shop:web"


def reviewed(**changes: Any) -> dict[str, Any]:
    return {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user(WEB), **changes}


def test_a_good_token() -> None:
    expected = Bearer(SpiffeId("cluster.local", "shop", "web"), "web-1", "uid-1")
    assert bearer(reviewed(), "cluster.local") == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({}, Reason.TOKEN_NOT_ACCEPTED),
        (reviewed(authenticated=False), Reason.TOKEN_NOT_ACCEPTED),
        (reviewed(audiences=[]), Reason.WRONG_AUDIENCE),
        (reviewed(audiences=None), Reason.WRONG_AUDIENCE),
        (reviewed(audiences=["https://kubernetes.default.svc"]), Reason.WRONG_AUDIENCE),
        (reviewed(user=None), Reason.NOT_A_SERVICE_ACCOUNT),
        (reviewed(user=user("alice")), Reason.NOT_A_SERVICE_ACCOUNT),
        (reviewed(user=user("system:node:node1")), Reason.NOT_A_SERVICE_ACCOUNT),
        (reviewed(user={"username": WEB}), Reason.NOT_BOUND_TO_A_POD),
        (reviewed(user={"username": WEB, "extra": {POD_NAME: ["web-1"]}}), Reason.NOT_BOUND_TO_A_POD),
        (reviewed(user={"username": WEB, "extra": {POD_UID: ["uid-1"]}}), Reason.NOT_BOUND_TO_A_POD),
        (reviewed(user={"username": WEB, "extra": {POD_NAME: [], POD_UID: []}}), Reason.NOT_BOUND_TO_A_POD),
        (reviewed(user={"username": WEB, "extra": {POD_NAME: [""], POD_UID: [""]}}), Reason.NOT_BOUND_TO_A_POD),
    ],
)
def test_a_token_that_is_not_good(status: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        bearer(status, "cluster.local")
    assert refused.value.reason is reason


def test_an_unbound_token_is_told_what_was_expected() -> None:
    with pytest.raises(Refused, match="not bound to a pod: expected the projected one of the pod that asks"):
        bearer(reviewed(user=user(WEB, pod="")), "cluster.local")


@given(st.dictionaries(st.sampled_from(["authenticated", "audiences", "user"]), st.none() | st.booleans()))
def test_nobody_is_known_by_half_a_review(said: dict[str, Any]) -> None:
    left = {key: value for key, value in reviewed().items() if key not in said}
    if said:
        with pytest.raises(Refused):
            bearer(left, "cluster.local")
