"""One network namespace a node, joined by a bridge in a namespace that holds nothing else.

Every step looks first, so that running it again repairs what a killed run left half done.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .layout import MAX_NODES, Layout, Node
from .shell import run, say, succeeds

BRIDGE = "br0"


def names() -> set[str]:
    """The named network namespaces of this machine; none where nothing could have made one."""
    if shutil.which("ip") is None:
        return set()
    return {entry["name"] for entry in json.loads(run(["ip", "-json", "netns", "list"]) or "[]")}


def ensure(layout: Layout, nodes: list[Node]) -> None:
    """Make the fabric and every node's namespace, link, addresses and forwarding."""
    present = names()
    for name in [layout.fabric, *(layout.namespace(node) for node in nodes)]:
        if name not in present:
            run(["ip", "netns", "add", name])
    if not _has_link(layout.fabric, BRIDGE):
        run(["ip", "-n", layout.fabric, "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "-n", layout.fabric, "link", "set", BRIDGE, "up"])
    for node in nodes:
        _connect(layout, node)


def remove(layout: Layout) -> None:
    """Delete the cluster's namespaces, and with them every link inside. Processes in them are not touched."""
    ours = {layout.fabric, *(layout.namespace(Node(number)) for number in range(1, MAX_NODES + 1))}
    for name in sorted(names() & ours):
        run(["ip", "netns", "delete", name])


def answers(namespace: str, url: str) -> bool:
    """Whether a plain HTTP health endpoint inside a namespace answers with success."""
    fetch = f"import urllib.request; urllib.request.urlopen({url!r}, timeout=1)"
    return succeeds(["nsenter", f"--net=/run/netns/{namespace}", "python3", "-c", fetch])


def route_pods(layout: Layout, nodes: list[Node], cidrs: dict[Node, list[str]]) -> None:
    """Let every node reach every other node's pods: one route a family and peer, no overlay."""
    for here in nodes:
        for there in nodes:
            if here == there:
                continue
            for cidr in cidrs[there]:
                via = there.v6 if ":" in cidr else there.v4
                family = "-6" if ":" in cidr else "-4"
                run(["ip", "-n", layout.namespace(here), family, "route", "replace", cidr, "via", via])


def _connect(layout: Layout, node: Node) -> None:
    namespace, port = layout.namespace(node), f"port{node.number}"
    if not _has_link(namespace, "eth0"):
        pair = ["link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", layout.fabric]
        run(["ip", "-n", namespace, *pair])
    run(["ip", "-n", layout.fabric, "link", "set", port, "master", BRIDGE, "up"])
    for link in ("lo", "eth0"):
        run(["ip", "-n", namespace, "link", "set", link, "up"])
    run(["ip", "-n", namespace, "address", "replace", f"{node.v4}/24", "dev", "eth0"])
    # nodad: duplicate address detection would keep the address unusable for a second, for nothing.
    run(["ip", "-n", namespace, "address", "replace", f"{node.v6}/64", "dev", "eth0", "nodad"])
    # A default route, although it leads nowhere: without one the kernel refuses to send to Service addresses
    # before kube-proxy's rules could translate them.
    for family in ("-4", "-6"):
        run(["ip", "-n", namespace, family, "route", "replace", "default", "dev", "eth0"])
    _forward(namespace)


def _forward(namespace: str) -> None:
    inside = ["nsenter", f"--net=/run/netns/{namespace}"]
    run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    # Two pods of one node talk through its bridge. When one calls the other by a Service, the answer must pass
    # iptables too, or it comes from an address the caller never dialled.
    switches = [f"net.bridge.bridge-nf-call-{table}=1" for table in ("iptables", "ip6tables")]
    if not Path("/proc/sys/net/bridge").exists():
        succeeds(["modprobe", "br_netfilter"])
    if not succeeds([*inside, "sysctl", "-qw", *switches]):
        say("  note: no br_netfilter in this kernel: pods cannot reach pods of their own node through a Service")


def _has_link(namespace: str, link: str) -> bool:
    return succeeds(["ip", "-n", namespace, "link", "show", "dev", link])
