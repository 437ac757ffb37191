"""The cluster's cgroups: where its pods are accounted, and how its processes are told from everybody else's.

Every daemon starts in a cgroup of its own below `/<cluster>/daemons`, every pod lies below `/<cluster>/<node>`. So
"what this cluster started" is what lies below `/<cluster>`, shims and orphans included, even after a `kill -9` of all
that could have told; and nothing else is ever killed.

Both layouts of a Linux machine are served. cgroup v2: one tree at /sys/fs/cgroup. cgroup v1: a tree for each
controller, of which `pids` (else the first) tracks processes; kubelet and runc use all of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import Failure

if TYPE_CHECKING:
    from .layout import Layout, Node

ROOT = Path("/sys/fs/cgroup")
KILL_SECONDS = 15.0


def is_v2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def trees() -> list[Path]:
    """The roots of all trees that kubelet and runc use."""
    if is_v2():
        return [ROOT]
    found = sorted(tree for tree in ROOT.iterdir() if tree.is_dir() and (tree / "cgroup.procs").exists())
    if not found:
        raise Failure(f"no cgroup tree is mounted below {ROOT}; kubelet and runc need cgroups (v1 or v2)")
    return found


def tracking_tree() -> Path:
    """The one tree that says which processes are the cluster's."""
    candidates = trees()
    return next((tree for tree in candidates if tree.name == "pids"), candidates[0])


def daemon_cgroup(layout: Layout, daemon: str) -> Path:
    return tracking_tree() / layout.name / "daemons" / daemon


def node_root(layout: Layout, node: Node) -> str:
    """What kubelet calls cgroupRoot."""
    return f"/{layout.name}/{node.name}"


def ensure(layout: Layout, nodes: list[Node]) -> None:
    """Make every node's pod root in every tree."""
    for tree in trees():
        for node in nodes:
            path = tree
            for part in (layout.name, node.name):
                parent, path = path, path / part
                path.mkdir(exist_ok=True)
                _pass_on(parent, path)


def processes(layout: Layout) -> set[int]:
    """The ids of all processes that the cluster started and that still run."""
    root = tracking_tree() / layout.name
    found: set[int] = set()
    for file in [root / "cgroup.procs", *root.glob("**/cgroup.procs")]:
        with contextlib.suppress(OSError):  # a cgroup may vanish while we look
            found.update(int(pid) for pid in file.read_text().split())
    return found


def members(cgroup: Path) -> set[int]:
    """The ids of the processes directly in one cgroup; none when it does not exist."""
    try:
        return {int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()}
    except OSError:
        return set()


def kill_all(layout: Layout) -> None:
    """SIGKILL every process of the cluster until none is left. Its state is forgotten, so there is nothing to save."""
    deadline = time.monotonic() + KILL_SECONDS
    while left := processes(layout):
        if time.monotonic() > deadline:
            raise Failure(f"processes {sorted(left)} of the cluster do not die (uninterruptible?); try `down` again")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def remove(layout: Layout) -> None:
    """Remove the (empty) cgroups, leaves first."""
    for tree in trees():
        root = tree / layout.name
        inner = [path for path in root.glob("**/") if path.is_dir()] if root.exists() else []
        for path in sorted(inner, key=lambda p: len(p.parts), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir()


def _pass_on(parent: Path, child: Path) -> None:
    """Let a cgroup use what its parent has: the controllers on v2, the processors and memory nodes on v1."""
    if is_v2():
        control = parent / "cgroup.subtree_control"
        missing = set((parent / "cgroup.controllers").read_text().split()) - set(control.read_text().split())
        for controller in sorted(missing):
            # One at a time: in a container some cannot be passed on, and one refusal would refuse them all.
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")
        return
    for knob in ("cpuset.cpus", "cpuset.mems"):
        # A new cpuset starts empty, and an empty one takes no process.
        if (child / knob).exists() and not (child / knob).read_text().strip():
            (child / knob).write_text((parent / knob).read_text())
