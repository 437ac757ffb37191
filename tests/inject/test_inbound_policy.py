"""Whom a default inbound policy lets in, and that a pod never lets in more than its namespace."""

from itertools import product

import pytest

from injector.inject.inbound_policy import POLICIES, weakens
from injector.inject.settings import resolve
from tests.inject.objects import annotated

STRONGER = {
    "all-unauthenticated": set(POLICIES) - {"all-unauthenticated"},
    "cluster-unauthenticated": {"cluster-authenticated", "deny"},
    "all-authenticated": {"cluster-authenticated", "deny"},
    "cluster-authenticated": {"deny"},
    "deny": set[str](),
}
"""Each policy with those that let in fewer; the two in the middle cannot be compared."""


@pytest.mark.parametrize(("policy", "bound"), list(product(POLICIES, POLICIES)))
def test_a_policy_weakens_another_unless_it_is_the_same_or_stronger(policy: str, bound: str) -> None:
    assert weakens(policy, bound) == (policy != bound and policy not in STRONGER[bound])


@pytest.mark.parametrize(("policy", "bound"), list(product(POLICIES, POLICIES)))
@pytest.mark.parametrize("setter", ["namespace", "installation"])
def test_a_pod_cannot_weaken_what_stands_above_it(policy: str, bound: str, setter: str) -> None:
    namespace = annotated(default_inbound_policy=bound) if setter == "namespace" else {}
    installation = {"default-inbound-policy": bound if setter == "installation" else "all-unauthenticated"}
    resolution = resolve(annotated(default_inbound_policy=policy), namespace, installation)
    if weakens(policy, bound):
        (fault,) = resolution.faults
        assert fault == (
            f"injector.mesh/default-inbound-policy: expected nobody let in beyond {bound!r} (from the {setter}), "
            f"got {policy!r}"
        )
    else:
        assert (resolution.faults, resolution.settings.default_inbound_policy) == ((), policy)


def test_a_namespace_may_let_in_more_than_the_installation_does() -> None:
    resolution = resolve(
        {}, annotated(default_inbound_policy="all-unauthenticated"), {"default-inbound-policy": "deny"}
    )
    assert resolution.settings.default_inbound_policy == "all-unauthenticated"
