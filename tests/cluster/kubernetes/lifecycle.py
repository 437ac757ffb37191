"""Up, down and status: the order of things."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import binaries, certificates, cgroups, control_plane, daemons, images, network, node, packages
from .layout import FIRST, Layout, Node
from .shell import Failure, run, say, step

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MOUNTS = Path("/proc/mounts")
CONTAINERD_SOCKETS = Path("/run/containerd/s")  # where shims listen; the path is built into containerd


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Let one `up` or `down` of a cluster run at a time; a second one waits. The kernel frees it when we die."""
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another `cluster` command on {layout.state} …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(layout: Layout, count: int | None, *, api_only: bool) -> None:
    """Start all that does not run. Run again, it repairs: every step looks at what is there first.

    What cannot be repaired, because nothing of it runs, is forgotten first.
    """
    _forget_the_dead(layout)
    existing = layout.existing_nodes()
    nodes = [Node(number) for number in range(1, max(count or 1, len(existing)) + 1)]
    packages.ensure(packages.CLUSTER)
    binaries.ensure(layout)
    layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.logs.mkdir(exist_ok=True)
    (layout.state / "boot").write_text(BOOT_ID.read_text())
    with step("network, keys and control plane"):
        network.ensure(layout, [FIRST] if api_only else nodes)
        certificates.ensure(layout, [] if api_only else nodes)
        control_plane.start_api(layout)
    if api_only:
        return
    cgroups.ensure(layout, nodes)
    with step(f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} and DNS"):
        control_plane.start_scheduling(layout)
        for each in nodes:
            node.start_runtime(layout, each)
        for each in nodes[1:]:
            images.copy(layout, FIRST, each)
        for each in nodes:
            node.start_kubelet(layout, each)
        network.route_pods(layout, nodes, {each: node.wait_for_pod_ranges(layout, each) for each in nodes})
        for each in nodes:
            node.wait_ready(layout, each)
        control_plane.wait_for_dns(layout)


def down(layout: Layout) -> None:
    """Kill all that the cluster started and forget its state. Built binaries and base images stay."""
    cgroups.kill_all(layout)
    _remove_shim_sockets(layout)
    _unmount(layout)
    network.remove(layout)
    cgroups.remove(layout)
    node.forget_traces(layout)
    if layout.state.exists():
        # One file system only: should a mount have survived, what lies behind it is not ours to delete.
        run(["rm", "-rf", "--one-file-system", layout.state])


def status(layout: Layout) -> bool:
    """Print what runs and what does not. Returns whether all is well."""
    broken = [name for name in daemons.known(layout) if not daemons.alive(layout, name)]
    for name in daemons.known(layout):
        print(f"{'✗' if name in broken else '✓'} {name}")
    if broken:
        print(f"{len(broken)} of them ended: see {layout.logs}/, and `scripts/cluster up` starts them again")
        return False
    if not control_plane.is_ready(layout):
        print(f"✗ the API server runs but is not ready: see {layout.logs}/kube-apiserver.log")
        return False
    print(control_plane.kubectl(layout, "get", "nodes", "-o", "wide", "-L", "topology.kubernetes.io/zone"), end="")
    unready = [each.name for each in layout.existing_nodes() if not node.is_ready(layout, each)]
    for name in unready:
        print(f"✗ {name} is not Ready: see {layout.logs}/kubelet-{name}.log")
    return not unready


def is_up(layout: Layout) -> bool:
    """Whether the cluster can take commands: its namespace exists and so does its kubeconfig."""
    return layout.kubeconfig.exists() and Path(f"/run/netns/{layout.namespace(FIRST)}").exists()


def require_up(layout: Layout) -> None:
    if not is_up(layout):
        raise Failure(f"no cluster runs at {layout.state}; `scripts/cluster up` starts one")


def _forget_the_dead(layout: Layout) -> None:
    """A reboot, or an end of everything at once, takes the pods with it: what is left on disk is half a cluster."""
    boot, started = layout.state / "boot", daemons.known(layout)
    rebooted = boot.exists() and boot.read_text() != BOOT_ID.read_text()
    if rebooted or (started and not any(daemons.alive(layout, name) for name in started)):
        say(f"the cluster at {layout.state} ended {'with a reboot' if rebooted else 'all at once'}; starting afresh")
        down(layout)


def _remove_shim_sockets(layout: Layout) -> None:
    """A killed shim leaves its socket in a directory that all containerds of a machine share."""
    for address in layout.state.glob("node*/state/io.containerd.runtime.v2.task/*/*/address"):
        socket = Path(address.read_text().strip().removeprefix("unix://"))
        if socket.is_relative_to(CONTAINERD_SOCKETS):
            socket.unlink(missing_ok=True)


def _unmount(layout: Layout) -> None:
    for mount in mounts(layout):
        run(["umount", "--lazy", mount])
    if left := mounts(layout):
        raise Failure(f"still mounted, so {layout.state} is not removed: {', '.join(left)}")


def mounts(layout: Layout) -> list[str]:
    """What is mounted below the state directory, the innermost first."""
    inside = f"{layout.state}{os.sep}"
    # The kernel writes a space in a path as "\\040".
    points = [line.split()[1].encode().decode("unicode_escape") for line in MOUNTS.read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(inside)]
