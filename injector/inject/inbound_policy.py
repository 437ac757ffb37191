"""Who may connect to a pod where nothing more particular is said: the default inbound policy, as a set of callers."""

from itertools import product
from typing import Final

EVERYBODY: Final = frozenset(product(("cluster", "elsewhere"), ("authenticated", "unauthenticated")))
"""Kinds of callers: from the cluster's networks or from elsewhere, with an identity of the mesh or without."""

POLICIES: Final = {
    "all-unauthenticated": EVERYBODY,
    "cluster-unauthenticated": frozenset(caller for caller in EVERYBODY if "cluster" in caller),
    "all-authenticated": frozenset(caller for caller in EVERYBODY if "authenticated" in caller),
    "cluster-authenticated": frozenset({("cluster", "authenticated")}),
    "deny": frozenset[tuple[str, str]](),
}
"""Whom each policy lets in. The weakest is the first; two of them are neither weaker nor stronger than each other."""


def weakens(policy: str, bound: str) -> bool:
    """Whether `policy` lets somebody in whom `bound` does not."""
    return not POLICIES[policy] <= POLICIES[bound]
