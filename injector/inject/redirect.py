"""The packet redirection of a pod, as text for iptables-restore and in words.

The init container applies the text as it stands and reads it back, so every line is in the normal form that
iptables-save prints. Chains are our own; only TCP jumps into them, so UDP, SCTP and ICMP never meet these rules.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from injector.inject import ports
from injector.inject.names import ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT, TAP_PORT
from injector.inject.settings import Settings
from injector.inject.values import Subnet

Family: TypeAlias = Literal["v4", "v6"]

INBOUND_CHAIN: Final = "INJECTOR_INBOUND"
OUTBOUND_CHAIN: Final = "INJECTOR_OUTBOUND"

UNTOUCHED_PORTS: Final = (INBOUND_PORT, TAP_PORT, ADMIN_PORT)
"""Ports at which proxies are spoken to directly, in either direction: mesh traffic, tap, metrics and probes."""

REMEMBERED: Final = 128
"""Texts kept. A cluster uses a few; hostile settings of 40 KB each (values.MAX_LIST_ITEMS) hold at most 5 MB."""


@lru_cache(maxsize=REMEMBERED)
def rules(settings: Settings, family: Family, *, proxy_uid: int) -> str:
    """The nat table's text for one family, to be applied with --noflush."""
    lines = [
        "*nat",
        f":{INBOUND_CHAIN} - [0:0]",
        f":{OUTBOUND_CHAIN} - [0:0]",
        f"-A PREROUTING -p tcp -j {INBOUND_CHAIN}",
        f"-A OUTPUT -p tcp -j {OUTBOUND_CHAIN}",
        *_inbound(settings, family),
        *_outbound(settings, family, proxy_uid),
        "COMMIT",
    ]
    return "\n".join(lines) + "\n"


def _inbound(settings: Settings, family: Family) -> Iterator[str]:
    chain = f"-A {INBOUND_CHAIN}"
    yield f"{chain} -p tcp -m multiport --dports {','.join(map(str, UNTOUCHED_PORTS))} -j RETURN"
    for subnet in _of_family(settings.skip_inbound_subnets, family):
        yield f"{chain}{_match('-s', subnet)} -j RETURN"
    for batch in ports.multiport(settings.skip_inbound_ports):
        yield f"{chain} -p tcp -m multiport --dports {batch} -j RETURN"
    yield f"{chain} -p tcp -j REDIRECT --to-ports {INBOUND_PORT}"


def _outbound(settings: Settings, family: Family, proxy_uid: int) -> Iterator[str]:
    chain = f"-A {OUTBOUND_CHAIN}"
    # What the proxy itself sends must leave, or it would be sent back to the proxy for ever.
    yield f"{chain} -m owner --uid-owner {proxy_uid} -j RETURN"
    # The pod's words to itself (localhost, or its own address, which the kernel routes by lo) stay with it.
    yield f"{chain} -o lo -j RETURN"
    yield f"{chain} -p tcp -m multiport --dports {','.join(map(str, UNTOUCHED_PORTS))} -j RETURN"
    for subnet in _of_family(settings.skip_outbound_subnets, family):
        yield f"{chain}{_match('-d', subnet)} -j RETURN"
    for batch in ports.multiport(settings.skip_outbound_ports):
        yield f"{chain} -p tcp -m multiport --dports {batch} -j RETURN"
    yield f"{chain} -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}"


def _of_family(subnets: tuple[Subnet, ...], family: Family) -> Iterator[Subnet]:
    return (subnet for subnet in subnets if f"v{subnet.version}" == family)


def _match(flag: str, subnet: Subnet) -> str:
    return f" {flag} {subnet}" if subnet.prefixlen else ""  # iptables-save leaves "everything" out


def describe(settings: Settings, *, proxy_uid: int) -> list[str]:
    """The same rules, a sentence each, for previews and `explain`."""
    untouched = ", ".join(map(str, UNTOUCHED_PORTS))
    opened = (
        f"TCP connections that the pod opens go to its proxy (port {OUTBOUND_PORT}), except the proxy's own "
        f"(user {proxy_uid}), those within the pod, and those to ports {untouched}."
    )
    sentences = [
        f"TCP connections that reach the pod go to its proxy (port {INBOUND_PORT}), except those to ports {untouched}.",
        opened,
        "UDP, SCTP and ICMP are not touched.",
    ]
    skipped = [
        ("Connections from {} go straight to the application.", ", ".join(map(str, settings.skip_inbound_subnets))),
        ("Connections to the pod's ports {} go straight to the application.", ports.text(settings.skip_inbound_ports)),
        ("Connections to {} leave straight.", ", ".join(map(str, settings.skip_outbound_subnets))),
        ("Connections to ports {} elsewhere leave straight.", ports.text(settings.skip_outbound_ports)),
    ]
    return sentences + [sentence.format(listed) for sentence, listed in skipped if listed]
