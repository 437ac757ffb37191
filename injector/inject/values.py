"""What annotation values may be: one reader a type, each saying what it expected.

A reader takes the text and returns the value, or raises ValueError with a sentence for the person who wrote it.
"""

import ipaddress
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, TypeAlias

from injector.inject import ports, quantity

Subnet: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Reader: TypeAlias = Callable[[str], Any]

MAX_LIST_ITEMS: Final = 256
"""Items of one list. 256 subnets make 256 rules a chain, which a new connection walks in about 10 µs; and the rules
of both families stay below 40 KB, far from the 128 KiB that Linux allows one environment variable (MAX_ARG_STRLEN)."""

_DURATION: Final = re.compile(r"([0-9]{1,5})(s|m|h)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_V4_IN_V6: Final = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("::/96"))
_V6_LOOPBACK: Final = ipaddress.IPv6Network("::1/128")


def one_of(*choices: str) -> Reader:
    """A reader of one word out of `choices`."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected {' or '.join([', '.join(choices[:-1]), choices[-1]])}")
        return text

    return read


def port_list(text: str) -> tuple[ports.PortRange, ...]:
    """Ports and ranges: "25,3306,5000-5010"; empty for none."""
    if text.count(",") >= MAX_LIST_ITEMS:
        raise ValueError(f"expected at most {MAX_LIST_ITEMS} ports or ranges")
    try:
        return ports.parse(text)
    except ValueError as fault:
        raise ValueError(f"expected ports or ranges such as 25,3306,5000-5010; {fault}") from None


def subnet_list(text: str) -> tuple[Subnet, ...]:
    """Subnets or addresses of both families, collapsed and sorted, v4 first; empty for none."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    if len(items) > MAX_LIST_ITEMS:
        raise ValueError(f"expected at most {MAX_LIST_ITEMS} subnets")
    subnets = [_subnet(item) for item in items]
    v4 = [subnet for subnet in subnets if isinstance(subnet, ipaddress.IPv4Network)]
    v6 = [subnet for subnet in subnets if isinstance(subnet, ipaddress.IPv6Network)]
    return (*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6))


def _subnet(item: str) -> Subnet:
    try:
        if "%" in item:  # Python takes an IPv6 zone (fe80::1%eth0) of any characters; iptables knows none
            raise ValueError(item)
        subnet = ipaddress.ip_network(item, strict=False)
    except ValueError:
        raise ValueError(f"expected subnets such as 10.0.0.0/8,fd00::/8; {item[:60]!r} is none") from None
    if "/" in item and ipaddress.ip_interface(item).ip != subnet.network_address:
        raise ValueError(f"expected subnets without host bits, such as {subnet} in place of {item!r}")
    # iptables prints these with a dotted tail, which Python does not: the init container's read-back would differ.
    if isinstance(subnet, ipaddress.IPv6Network) and subnet != _V6_LOOPBACK and any(map(subnet.subnet_of, _V4_IN_V6)):
        raise ValueError(f"expected subnets, with the IPv4 address in {item!r} written as IPv4")
    return subnet


def amount(least: str, most: str) -> Reader:
    """A reader of a resource quantity between two others; empty for none. The text is kept as written."""
    low, high = quantity.parse(least), quantity.parse(most)

    def read(text: str) -> str:
        if text == "":
            return text
        try:
            value: Fraction = quantity.parse(text)
        except ValueError:
            value = Fraction(-1)
        if not low <= value <= high:
            raise ValueError(f"expected a quantity from {least} to {most}, such as {least}")
        return text

    return read


def duration(most_seconds: int) -> Reader:
    """A reader of whole seconds, minutes or hours ("30s", "5m", "1h"), in seconds."""

    def read(text: str) -> int:
        match = _DURATION.fullmatch(text)
        seconds = int(match[1]) * _SECONDS[match[2]] if match else -1
        if not 0 <= seconds <= most_seconds:
            raise ValueError(f"expected a duration such as 30s, 5m or 1h, at most {most_seconds} s")
        return seconds

    return read
