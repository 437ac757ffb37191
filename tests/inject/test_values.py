"""What each type of annotation takes, and what it says about the rest."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject import values


@pytest.mark.parametrize(
    ("written", "subnets"),
    [
        ("", []),
        (" , ", []),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.1.2.3", ["10.1.2.3/32"]),
        ("fd00::1", ["fd00::1/128"]),
        ("10.0.0.0/255.0.0.0", ["10.0.0.0/8"]),
        ("fd00::/8, 10.0.0.0/8", ["10.0.0.0/8", "fd00::/8"]),
        ("10.2.0.0/16,10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.0.0.0/9,10.128.0.0/9", ["10.0.0.0/8"]),
        ("192.168.1.0/24,10.0.0.0/8", ["10.0.0.0/8", "192.168.1.0/24"]),
        ("FD00:0:0::/48", ["fd00::/48"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("::/0", ["::/0"]),
        ("::1", ["::1/128"]),
        ("64:ff9b::/96", ["64:ff9b::/96"]),
    ],
)
def test_subnets_are_collapsed_and_sorted_v4_first(written: str, subnets: list[str]) -> None:
    assert [str(subnet) for subnet in values.subnet_list(written)] == subnets


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("10.0.0.1/8", "without host bits, such as 10.0.0.0/8 in place of '10.0.0.1/8'"),
        ("fd00::1/8", "such as fd00::/8 in place of 'fd00::1/8'"),
        ("10.0.0.0/33", "'10.0.0.0/33' is none"),
        ("10.0.0", "'10.0.0' is none"),
        ("010.0.0.1", "'010.0.0.1' is none"),  # octal for some, decimal for others
        ("example.com", "'example.com' is none"),
        ("10.0.0.0 /8", "is none"),
        ("fe80::1%eth0", "'fe80::1%eth0' is none"),
        ("fe80::1%x\n-A OUTPUT -j ACCEPT", "is none"),  # Python takes any text for a zone
        ("fe80::%eth0/64", "is none"),
        ("::ffff:10.0.0.1", "with the IPv4 address in '::ffff:10.0.0.1' written as IPv4"),
        ("::10.0.0.0/104", "written as IPv4"),
        ("x" * 5000, "'x{60}' is none"),
    ],
)
def test_a_bad_subnet_is_refused_with_what_it_should_be(written: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        values.subnet_list(written)
    assert len(str(refused.value)) < 200


SUBNETS = st.ip_addresses(v=4).map(ipaddress.ip_network) | st.builds(
    lambda address, prefix: ipaddress.ip_network((int(address), prefix), strict=False),
    st.ip_addresses(v=4),
    st.integers(20, 32),
)


@given(st.lists(SUBNETS, max_size=12), st.ip_addresses(v=4))
def test_collapsing_keeps_exactly_the_same_addresses(
    subnets: list[ipaddress.IPv4Network], other: ipaddress.IPv4Address
) -> None:
    read = values.subnet_list(",".join(map(str, subnets)))
    for address in (other, *(subnet.network_address for subnet in subnets), *(s.broadcast_address for s in subnets)):
        assert any(address in subnet for subnet in read) == any(address in subnet for subnet in subnets)


@given(
    st.text(max_size=60) | st.from_regex(r"[0-9a-f:%/.\n ,-]{1,40}", fullmatch=True, alphabet="0123456789af:%/.\n ,-")
)
def test_no_text_gets_a_character_of_its_own_into_a_rule(written: str) -> None:
    for read in (values.port_list, values.subnet_list):
        try:
            accepted = read(written)
        except ValueError:
            continue
        assert set("".join(map(str, accepted))) <= set("0123456789abcdef.:/-")


def test_a_list_has_at_most_256_items() -> None:
    ports = ",".join(str(2 * port) for port in range(1, 257))
    subnets = ",".join(f"10.{index}.0.1" for index in range(256))
    assert len(values.port_list(ports)) == 256
    assert len(values.subnet_list(subnets)) == 256
    with pytest.raises(ValueError, match="at most 256 ports or ranges"):
        values.port_list(ports + ",9999")
    with pytest.raises(ValueError, match="at most 256 subnets"):
        values.subnet_list(subnets + ",11.0.0.1")


def test_a_bad_port_says_how_ports_are_written() -> None:
    with pytest.raises(ValueError, match="expected ports or ranges such as 25,3306,5000-5010; 'smtp' is not a port"):
        values.port_list("25,smtp")


@pytest.mark.parametrize(("written", "seconds"), [("0s", 0), ("30s", 30), ("5m", 300), ("1h", 3600), ("60m", 3600)])
def test_durations_are_read_in_seconds(written: str, seconds: int) -> None:
    assert values.duration(3600)(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "30", "s", "-1s", "1.5m", "1h30m", "61m", "2h", "3601s", "1d", "1S", "30 s", "999999s", "٣s", "1s\n"],
)
def test_other_durations_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 30s, 5m or 1h, at most 3600 s"):
        values.duration(3600)(written)


@pytest.mark.parametrize("written", ["", "10m", "0.01", "64", "1.5", "1e1", "64000m"])
def test_amounts_within_bounds_are_kept_as_written(written: str) -> None:
    assert values.amount("10m", "64")(written) == written


@pytest.mark.parametrize("written", ["0", "9m", "64.1", "65", "1Gi", "-1", "much", "10 m", "1e99", "9" * 5000])
def test_amounts_out_of_bounds_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="expected a quantity from 10m to 64, such as 10m"):
        values.amount("10m", "64")(written)


@pytest.mark.parametrize("written", ["", "Info", "info ", "warning", "0"])
def test_a_word_is_one_of_its_choices(written: str) -> None:
    read: Any = values.one_of("debug", "info", "warn")
    assert read("info") == "info"
    with pytest.raises(ValueError, match=r"^expected debug, info or warn$"):
        read(written)
