"""The cluster's own ranges of addresses, as far as its objects tell (pure)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Network = IPv4Network | IPv6Network

GUESSED_PREFIX = {4: 16, 6: 112}
"""How much round a Service's address is taken for the Service range where the cluster has no
ServiceCIDR objects (before 1.33): kubeadm's default is a /12, of which a /16 is never more; IPv6 ranges have at most 20
bits (kube-apiserver --service-cluster-ip-range), commonly 16."""


WIDEST_PREFIX = {4: 8, 6: 32}
"""A node's own range is a part of the cluster's, and no cluster has more than a /8: a wider one is a mistake, or the
word of a node that wants everybody to be in the cluster (the policies `cluster-…` let in who is)."""


def networks(pod_ranges: Iterable[str], service_ranges: Iterable[str], services: Iterable[str]) -> list[str]:
    """Pod ranges of the nodes and the Service ranges, merged where they touch, in order. `services` are addresses of
    Services, round which the range is guessed for a family that `service_ranges` does not have."""
    ranges = _read(service_ranges)
    families = {network.version for network in ranges}
    guessed = (
        f"{address}/{GUESSED_PREFIX[version]}"
        for address in services
        if (version := ip_address(address).version) not in families
    )
    known = [*_read(pod_ranges), *ranges, *_read(guessed)]
    v4 = collapse_addresses(network for network in known if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in known if isinstance(network, IPv6Network))
    return [*map(str, v4), *map(str, v6)]


def _read(ranges: Iterable[str]) -> list[Network]:
    """The ranges that make sense: what a node's object says is for Kubernetes to judge, not for us to die of."""
    found: list[Network] = []
    for text in ranges:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        if network.prefixlen >= WIDEST_PREFIX[network.version]:
            found.append(network)
    return found
