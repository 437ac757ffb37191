"""The rules that a pod's connections meet: lines in the form that iptables-save prints, in an order that matters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject.redirect import Family, describe, rules
from injector.inject.settings import Settings, resolve
from tests.inject.objects import annotated

BASE = """\
*nat
:INJECTOR_INBOUND - [0:0]
:INJECTOR_OUTBOUND - [0:0]
-A PREROUTING -p tcp -j INJECTOR_INBOUND
-A OUTPUT -p tcp -j INJECTOR_OUTBOUND
-A INJECTOR_INBOUND -p tcp -m multiport --dports 4143,4190,4191 -j RETURN
-A INJECTOR_INBOUND -p tcp -j REDIRECT --to-ports 4143
-A INJECTOR_OUTBOUND -m owner --uid-owner 2102 -j RETURN
-A INJECTOR_OUTBOUND -o lo -j RETURN
-A INJECTOR_OUTBOUND -p tcp -m multiport --dports 4143,4190,4191 -j RETURN
-A INJECTOR_OUTBOUND -p tcp -j REDIRECT --to-ports 4140
COMMIT
"""

ADDRESS = r"(\d+\.\d+\.\d+\.\d+|[0-9a-f:]+)/\d+"
NORMAL_LINE = re.compile(
    r"\*nat|:INJECTOR_(IN|OUT)BOUND - \[0:0\]|COMMIT"
    r"|-A PREROUTING -p tcp -j INJECTOR_INBOUND|-A OUTPUT -p tcp -j INJECTOR_OUTBOUND"
    r"|-A INJECTOR_OUTBOUND -m owner --uid-owner \d+ -j RETURN|-A INJECTOR_OUTBOUND -o lo -j RETURN"
    rf"|-A INJECTOR_INBOUND( -s {ADDRESS})? -j RETURN|-A INJECTOR_OUTBOUND( -d {ADDRESS})? -j RETURN"
    r"|-A INJECTOR_(IN|OUT)BOUND -p tcp -m multiport --dports \d+(:\d+)?(,\d+(:\d+)?)* -j RETURN"
    r"|-A INJECTOR_INBOUND -p tcp -j REDIRECT --to-ports 4143|-A INJECTOR_OUTBOUND -p tcp -j REDIRECT --to-ports 4140"
)


def settings(**words: str) -> Settings:
    resolution = resolve(annotated(**words), {}, {})
    assert not resolution.faults
    return resolution.settings


def added(family: Family, **words: str) -> list[str]:
    """The lines that these settings add to the base's, which must all stand there still, in their order."""
    lines = rules(settings(**words), family, proxy_uid=2102).splitlines()
    base = BASE.splitlines()
    assert [line for line in lines if line in base] == base
    return [line for line in lines if line not in base]


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_without_settings_both_families_have_the_same_rules(family: Family) -> None:
    assert rules(settings(), family, proxy_uid=2102) == BASE


def test_the_proxys_user_is_the_installations() -> None:
    lines = rules(settings(), "v4", proxy_uid=77).splitlines()
    assert "-A INJECTOR_OUTBOUND -m owner --uid-owner 77 -j RETURN" in lines
    assert "2102" not in "".join(lines)


def test_ports_are_skipped_in_one_match() -> None:
    expected = "-p tcp -m multiport --dports 25,5000:5010 -j RETURN"
    for family in ("v4", "v6"):
        assert added(family, skip_inbound_ports="5000-5010,25") == [f"-A INJECTOR_INBOUND {expected}"]
        assert added(family, skip_outbound_ports="5000-5010,25") == [f"-A INJECTOR_OUTBOUND {expected}"]


def test_many_ports_are_skipped_in_matches_of_fifteen() -> None:
    lines = added("v4", skip_outbound_ports=",".join(str(port) for port in range(2, 64, 2)))
    assert [line.count(",") + 1 for line in lines] == [15, 15, 1]


def test_subnets_are_skipped_in_their_own_family_only() -> None:
    both = "10.0.0.0/8,fd00::/8,192.0.2.7"
    assert added("v4", skip_inbound_subnets=both) == [
        "-A INJECTOR_INBOUND -s 10.0.0.0/8 -j RETURN",
        "-A INJECTOR_INBOUND -s 192.0.2.7/32 -j RETURN",
    ]
    assert added("v6", skip_inbound_subnets=both) == ["-A INJECTOR_INBOUND -s fd00::/8 -j RETURN"]
    assert added("v6", skip_outbound_subnets=both) == ["-A INJECTOR_OUTBOUND -d fd00::/8 -j RETURN"]
    assert len(added("v4", skip_outbound_subnets=both)) == 2


def test_everything_is_written_without_an_address_as_iptables_save_does() -> None:
    assert added("v4", skip_outbound_subnets="0.0.0.0/0") == ["-A INJECTOR_OUTBOUND -j RETURN"]
    assert added("v6", skip_outbound_subnets="0.0.0.0/0") == []
    assert added("v6", skip_inbound_subnets="::/0") == ["-A INJECTOR_INBOUND -j RETURN"]


def test_settings_that_do_not_bypass_change_no_rule() -> None:
    assert added("v4", opaque_ports="3306", log_level="debug", shutdown_grace="1h", proxy_cpu_limit="2") == []


PORT_LISTS = st.lists(st.integers(1, 65000), max_size=60).map(lambda ports: ",".join(f"{p}-{p + p % 3}" for p in ports))
SUBNET_LISTS = st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), max_size=9).map(
    lambda addresses: ",".join(str(it) for it in addresses if it.version == 4 or int(it) >> 100)
)


@given(PORT_LISTS, PORT_LISTS, SUBNET_LISTS, SUBNET_LISTS, st.integers(1, 2**31 - 1), st.sampled_from(("v4", "v6")))
def test_any_settings_give_normal_lines_in_an_order_that_makes_no_loop(
    ports_in: str, ports_out: str, subnets_in: str, subnets_out: str, uid: int, family: Family
) -> None:
    chosen = settings(
        skip_inbound_ports=ports_in,
        skip_outbound_ports=ports_out,
        skip_inbound_subnets=subnets_in,
        skip_outbound_subnets=subnets_out,
    )
    text = rules(chosen, family, proxy_uid=uid)
    assert text.endswith("COMMIT\n")
    lines = text.splitlines()
    assert [line for line in lines if not NORMAL_LINE.fullmatch(line)] == []
    assert len(set(lines)) == len(lines)
    inbound = [line for line in lines if line.startswith("-A INJECTOR_INBOUND ")]
    outbound = [line for line in lines if line.startswith("-A INJECTOR_OUTBOUND ")]
    own_ports = "-p tcp -m multiport --dports 4143,4190,4191 -j RETURN"
    assert inbound[0] == f"-A INJECTOR_INBOUND {own_ports}"
    assert outbound[:3] == [
        f"-A INJECTOR_OUTBOUND -m owner --uid-owner {uid} -j RETURN",
        "-A INJECTOR_OUTBOUND -o lo -j RETURN",
        f"-A INJECTOR_OUTBOUND {own_ports}",
    ]
    assert all(line.endswith("-j RETURN") for line in (*inbound[:-1], *outbound[:-1]))
    assert inbound[-1].endswith("-p tcp -j REDIRECT --to-ports 4143")
    assert outbound[-1].endswith("-p tcp -j REDIRECT --to-ports 4140")


def test_the_largest_settings_fit_one_environment_variable() -> None:
    subnets = ",".join(f"2001:db8:1234:5678:9abc:def0:{index:04x}:1111" for index in range(256))
    ports = ",".join(f"{first}-{first + 1}" for first in range(10_000, 61_200, 200))
    largest = rules(settings(skip_outbound_subnets=subnets, skip_inbound_subnets=subnets, skip_outbound_ports=ports,
                             skip_inbound_ports=ports), "v6", proxy_uid=2**31 - 1)  # fmt: skip
    assert len(largest) < 64 * 1024  # of the 128 KiB that Linux allows (MAX_ARG_STRLEN)


def test_words_say_what_the_rules_do() -> None:
    opened = (
        "TCP connections that the pod opens go to its proxy (port 4140), except the proxy's own (user 2102), "
        "those within the pod, and those to ports 4143, 4190, 4191."
    )
    assert describe(settings(), proxy_uid=2102) == [
        "TCP connections that reach the pod go to its proxy (port 4143), except those to ports 4143, 4190, 4191.",
        opened,
        "UDP, SCTP and ICMP are not touched.",
    ]


def test_every_skip_setting_has_words() -> None:
    words = describe(
        settings(
            skip_inbound_ports="80-90",
            skip_outbound_ports="25",
            skip_inbound_subnets="10.0.0.0/8,fd00::/8",
            skip_outbound_subnets="192.0.2.1",
        ),
        proxy_uid=2102,
    )
    assert words[3:] == [
        "Connections from 10.0.0.0/8, fd00::/8 go straight to the application.",
        "Connections to the pod's ports 80-90 go straight to the application.",
        "Connections to 192.0.2.1/32 leave straight.",
        "Connections to ports 25 elsewhere leave straight.",
    ]
