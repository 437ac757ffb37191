"""A node: containerd, kubelet, kube-proxy, and the CNI configuration that gives its pods addresses."""

from __future__ import annotations

import json
from pathlib import Path

from . import binaries, cgroups, control_plane, daemons, images, network
from .layout import CLUSTER_DOMAIN, FIRST, MAX_PODS, POD_CIDRS, Layout, Node
from .packages import CNI_PLUGINS
from .shell import succeeds, wait_until

KUBELET_HEALTH, PROXY_HEALTH = 10248, 10256  # their own default ports
CONTAINERD_SECONDS, REGISTERED_SECONDS, READY_SECONDS = 30.0, 90.0, 120.0
PAUSE_IMAGE = "docker.io/injector-cluster/pause:1"
POD_LOGS_LINKS = Path("/var/log/containers")  # kubelet links every container's log here; the path is built in
CNI_RESULTS = (Path("/var/lib/cni/results"), Path("/var/lib/cni/cache/results"))  # likewise, by libcni


def start_runtime(layout: Layout, node: Node) -> None:
    """Start containerd and give it the image that holds a pod's namespaces."""
    home = layout.home(node)
    for folder in ("cni", "kubelet", "logs", "static-pods", "volume-plugins"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "containerd.toml").write_text(_containerd_config(layout, node))
    daemon = f"containerd-{node.name}"
    daemons.start(layout, daemon, node, ["containerd", "--config", home / "containerd.toml"])
    wait_until(
        lambda: succeeds(["ctr", "--address", layout.containerd(node), "version"]),
        seconds=CONTAINERD_SECONDS,
        otherwise=lambda: daemons.why_not(layout, daemon, "does not answer at its socket"),
    )
    if PAUSE_IMAGE not in images.present(layout, node):
        images.import_directory(layout, [node], PAUSE_IMAGE, binaries.pause_root(layout), entrypoint=["/pause"])


def start_kubelet(layout: Layout, node: Node) -> None:
    """Start kubelet and kube-proxy, and wait until the node has its pod ranges: then its CNI can be configured."""
    home = layout.home(node)
    (home / "kubelet.json").write_text(json.dumps(_kubelet_config(layout, node), indent=1))
    kubelet = [
        "kubelet",
        f"--config={home / 'kubelet.json'}",
        f"--kubeconfig={home / 'kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.v4},{node.v6}",
        f"--root-dir={home / 'kubelet'}",
        f"--node-labels=topology.kubernetes.io/zone={node.zone},topology.kubernetes.io/region=local",
    ]
    daemons.start(layout, f"kubelet-{node.name}", node, kubelet)
    proxy = [
        "kube-proxy",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hostname-override={node.name}",
        f"--cluster-cidr={POD_CIDRS}",
        "--proxy-mode=iptables",
        # The size of the connection table is the whole machine's: leave it alone.
        "--conntrack-max-per-core=0",
    ]
    daemons.start(layout, f"kube-proxy-{node.name}", node, proxy)


def wait_for_pod_ranges(layout: Layout, node: Node) -> list[str]:
    """The node's pod ranges, v4 and v6, once the controller manager has allocated them; writes its CNI list."""
    wait_until(
        lambda: len(_pod_ranges(layout, node)) == 2,
        seconds=REGISTERED_SECONDS,
        otherwise=lambda: daemons.why_not(layout, f"kubelet-{node.name}", "its node got no pod ranges"),
    )
    ranges = _pod_ranges(layout, node)
    conflist = layout.home(node) / "cni" / "10-bridge.conflist"
    conflist.write_text(json.dumps(_cni_config(layout, node, ranges), indent=1))
    return ranges


def is_ready(layout: Layout, node: Node) -> bool:
    """Whether the API server has heard from the node's kubelet that it is Ready."""
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return control_plane.kubectl(layout, "get", "node", node.name, "--ignore-not-found", "-o", path) == "True"


def wait_ready(layout: Layout, node: Node) -> None:
    """Wait for the daemons themselves, then for the API: after a crash it still holds what the dead kubelet said."""
    _wait_healthy(layout, node, f"kubelet-{node.name}", KUBELET_HEALTH)
    _wait_healthy(layout, node, f"kube-proxy-{node.name}", PROXY_HEALTH)
    wait_until(
        lambda: is_ready(layout, node),
        seconds=READY_SECONDS,
        otherwise=lambda: daemons.why_not(layout, f"kubelet-{node.name}", "its node is not Ready"),
    )


def _wait_healthy(layout: Layout, node: Node, daemon: str, port: int) -> None:
    wait_until(
        lambda: network.answers(layout.namespace(node), f"http://127.0.0.1:{port}/healthz"),
        seconds=READY_SECONDS,
        otherwise=lambda: daemons.why_not(layout, daemon, "is not healthy"),
    )


def forget_traces(layout: Layout) -> None:
    """Remove what kubelet and libcni keep at built-in paths outside the cluster's directory."""
    if POD_LOGS_LINKS.is_dir():
        for link in POD_LOGS_LINKS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(layout.state):
                link.unlink()
    for folder in CNI_RESULTS:
        # Named <network>-<sandbox>-<interface>; the loopback's do not say whose they are, but the sandbox does.
        for result in folder.glob(f"{layout.name}-*-eth0"):
            sandbox = result.name.removeprefix(f"{layout.name}-").removesuffix("-eth0")
            (folder / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
            result.unlink()


def _pod_ranges(layout: Layout, node: Node) -> list[str]:
    path = "jsonpath={.spec.podCIDRs[*]}"
    return control_plane.kubectl(layout, "get", "node", node.name, "--ignore-not-found", "-o", path).split()


def _containerd_config(layout: Layout, node: Node) -> str:
    home = layout.home(node)
    return f"""\
version = 2
root = "{home}/containerd"
state = "{home}/state"
[grpc]
  address = "{layout.containerd(node)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # In a container or a small virtual machine not even root may make a process less likely to be killed.
  restrict_oom_score_adj = true
  # Below `state`, not in /run/netns: there `down` finds all of them, and only ours.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{home}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{home}/runc"
"""


def _kubelet_config(layout: Layout, node: Node) -> dict[str, object]:
    home = layout.home(node)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "maxPods": MAX_PODS,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.node_root(layout, node),
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [FIRST.v4],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{layout.containerd(node)}",
        # Images cannot be pulled again, so none is ever collected, and a nearly full disk is no reason to evict.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(home / "logs"),
        "resolvConf": str(layout.state / "resolv.conf"),
        "staticPodPath": str(home / "static-pods"),
        # How often a running pod's ConfigMaps and tokens are brought up to date. By default it is a minute, and whoever
        # waits for a change in every pod waits for that.
        "syncFrequency": "10s",
        "tlsCertFile": str(layout.pki / f"{node.name}.crt"),
        "tlsPrivateKeyFile": str(layout.pki / f"{node.name}.key"),
        "volumePluginDir": str(home / "volume-plugins"),
    }


def _cni_config(layout: Layout, node: Node, ranges: list[str]) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        # A pod that calls its own Service is sent back out of the port it came from.
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.home(node) / "addresses"),
            "ranges": [[{"subnet": subnet}] for subnet in ranges],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": layout.name, "plugins": [bridge, ports]}
