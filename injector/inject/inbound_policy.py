"""Who may connect to a pod where nothing more particular is said: the default inbound policy, as a set of callers.

So "weaker" is not a matter of taste: what a pod says must let in a subset of whom its namespace lets in. The proxy
judges by the same two questions (injector/proxy/src/policy.rs).
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from injector.inject.ports import PortRange
from injector.inject.values import Subnet

EVERYBODY: Final = frozenset(product(("cluster", "elsewhere"), ("authenticated", "unauthenticated")))
"""Kinds of callers: from the cluster's networks or from elsewhere, with an identity of the mesh or without."""

POLICIES: Final = {
    "all-unauthenticated": EVERYBODY,
    # An identity is proof enough of belonging to the cluster, wherever its packets come from.
    "cluster-unauthenticated": EVERYBODY - {("elsewhere", "unauthenticated")},
    "all-authenticated": frozenset(caller for caller in EVERYBODY if "authenticated" in caller),
    "cluster-authenticated": frozenset({("cluster", "authenticated")}),
    "deny": frozenset[tuple[str, str]](),
}
"""Whom each policy lets in, from the weakest to the strongest."""

OPEN: Final = "all-unauthenticated"
"""The policy that keeps nobody out."""


def weakens(policy: str, bound: str) -> bool:
    """Whether `policy` lets somebody in whom `bound` does not."""
    return not POLICIES[policy] <= POLICIES[bound]


def ports_beyond(own: Iterable[PortRange], granted: tuple[PortRange, ...]) -> Iterator[PortRange]:
    """Ranges that do not lie within one of those granted, which are merged."""
    return (it for it in own if not any(by.first <= it.first and it.last <= by.last for by in granted))


def subnets_beyond(own: Iterable[Subnet], granted: tuple[Subnet, ...]) -> Iterator[Subnet]:
    """Subnets that do not lie within one of those granted, which are collapsed."""
    return (it for it in own if not any(_within(it, by) for by in granted))


def _within(inner: Subnet, outer: Subnet) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one family
