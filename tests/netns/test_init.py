"""`injector-proxy init`: applies the rules, finds its own work, and says what is missing."""

import re
from pathlib import Path

import pytest

from tests.netns.pods import Pod, rules

pytestmark = pytest.mark.netns

SKIPS = {
    "skip_inbound_ports": "25,5000-5010",
    "skip_outbound_ports": ",".join(str(port) for port in range(1001, 1041, 2)),
    "skip_inbound_subnets": "10.0.0.0/8,fd00::/8,0.0.0.0/0",
    "skip_outbound_subnets": "192.168.1.1/32,2001:db8::/32,::/0",
}


def tools(directory: Path, *backends: str, families: tuple[str, ...] = ("iptables", "ip6tables")) -> str:
    """A PATH with only these back ends' commands."""
    for family in families:
        for backend in backends:
            for verb in ("save", "restore"):
                (directory / f"{family}-{backend}-{verb}").symlink_to(f"/usr/sbin/{family}-{backend}-{verb}")
    return f"{directory}:/usr/bin:/bin" if directory.exists() else "/usr/bin:/bin"


def saved(pod: Pod, backend: str) -> list[str]:
    """Both families' nat tables, without counters and dates."""
    text = "".join(pod.execute(f"{tool}-{backend}-save", "-t", "nat").stdout for tool in ("iptables", "ip6tables"))
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("annotations", [{}, SKIPS], ids=["defaults", "every skip"])
def test_applying_twice_changes_nothing(client: Pod, tmp_path: Path, backend: str, annotations: dict[str, str]) -> None:
    path = tools(tmp_path, backend)
    first = client.init(rules(**annotations), path=path)
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(rf"injector-proxy: IPv4: applied \d+ rules by {backend}; IPv6: applied \d+ .*\n", first.stdout)
    once = saved(client, backend)
    assert sum("INJECTOR_" in line for line in once) > 10
    second = client.init(rules(**annotations), path=path)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("were in place already") == 2
    assert saved(client, backend) == once


def test_nft_comes_first(client: Pod) -> None:
    done = client.init(rules())
    assert "IPv4: applied 8 rules by nft; IPv6: applied 8 rules by nft" in done.stdout, done.stderr
    tables = client.execute("cat", "/proc/net/ip_tables_names").stdout
    assert "nat" not in tables, "the legacy table was not even opened"


def test_what_legacy_has_already_is_seen(client: Pod, tmp_path: Path) -> None:
    assert client.init(rules(), path=tools(tmp_path, "legacy")).returncode == 0
    done = client.init(rules())
    assert done.stdout.count("in place already, by legacy") == 2, done.stderr
    assert not any("INJECTOR_" in line for line in saved(client, "nft"))


def test_other_chains_of_our_name_are_not_touched(client: Pod) -> None:
    assert client.init(rules(skip_inbound_ports="25")).returncode == 0
    before = saved(client, "nft")
    done = client.init(rules(skip_inbound_ports="26"))
    assert done.returncode == 69
    assert done.stderr.count("\n") == 2, "a line a family"
    assert "are not the ones to apply: missing" in done.stderr
    assert "--dports 26" in done.stderr
    assert saved(client, "nft") == before


def test_others_chains_stay(client: Pod) -> None:
    client.execute("iptables-nft", "-t", "nat", "-N", "CNI-OTHER")
    client.execute("iptables-nft", "-t", "nat", "-A", "PREROUTING", "-p", "udp", "-j", "CNI-OTHER")
    assert client.init(rules()).returncode == 0
    assert "-A PREROUTING -p udp -j CNI-OTHER" in saved(client, "nft")
    assert client.init(rules()).stdout.count("in place already") == 2


def test_a_missing_capability_is_named_in_one_line(client: Pod) -> None:
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    done = client.init(rules(), prefix=drop)
    assert done.returncode == 69
    assert done.stderr.startswith("injector-proxy: cannot redirect: no NET_ADMIN capability.")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_missing_back_end_is_named(client: Pod, tmp_path: Path) -> None:
    client.execute("ip", "address", "add", "fd77::9/64", "dev", "lo", "nodad")
    done = client.init(rules(), path=tools(tmp_path))
    assert done.returncode == 69
    assert re.match(r"injector-proxy: IPv4: no nat table opens in this pod, .*iptables-nft-save.*\n", done.stderr)
    assert done.stderr.count("\n") == 2


def test_a_pod_without_v6_needs_no_v6_table(client: Pod, tmp_path: Path) -> None:
    client.execute("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    done = client.init(rules(), path=tools(tmp_path, "nft", families=("iptables",)))
    assert done.returncode == 0, done.stderr
    assert "IPv6: not redirected, for the pod has no such address" in done.stdout


def test_a_pod_with_v6_needs_the_v6_table(client: Pod, server: Pod, tmp_path: Path) -> None:
    done = client.init(rules(), path=tools(tmp_path, "nft", families=("iptables",)))
    assert done.returncode == 69
    assert re.match(r"injector-proxy: IPv6: no nat table opens in this pod", done.stderr)


def test_rules_that_are_none_are_refused_with_every_fault(client: Pod) -> None:
    done = client.init({"INJECTOR_IP6TABLES_RULES": "*nat\nCOMMIT\n"})
    assert done.returncode == 64
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("injector-proxy: INJECTOR_IPTABLES_RULES: expected rules")
    assert lines[1].startswith("injector-proxy: INJECTOR_IP6TABLES_RULES: expected chains named INJECTOR_*")


def test_rules_that_iptables_refuses_leave_nothing_behind(client: Pod) -> None:
    broken = {name: text.replace("--to-ports", "--to-porks", 1) for name, text in rules().items()}
    done = client.init(broken)
    assert done.returncode == 69
    assert "--to-porks" in done.stderr
    assert not any("INJECTOR_" in line for line in saved(client, "nft"))
