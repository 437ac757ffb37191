"""Long-running processes of the cluster: each in a node's network namespace and in a cgroup of its own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from . import cgroups
from .shell import tail, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .layout import Layout, Node

# The shell joins the cgroup, records itself and then becomes the daemon: nothing runs outside the cgroup even for a
# moment, and killing whoever starts the daemon leaves none unrecorded.
JOIN_THEN_RUN = 'echo $$ > "$1/cgroup.procs" && echo $$ > "$2" && shift 2 && exec "$@"'
JOIN_SECONDS = 10.0


def alive(layout: Layout, name: str) -> bool:
    """Whether the daemon itself runs. A child it left behind does not count, nor does a stranger with its old pid."""
    pid = _pid(layout, name)
    return pid is not None and pid in cgroups.members(cgroups.daemon_cgroup(layout, name))


def known(layout: Layout) -> list[str]:
    """The daemons that an `up` has started since the last `down`, in that order."""
    files = sorted(_pids(layout).glob("*"), key=lambda file: file.stat().st_ctime_ns)
    return [file.name for file in files]


def start(layout: Layout, name: str, node: Node, command: Sequence[str | Path]) -> None:
    """Start a daemon unless it runs. Relative paths in the command are below the PKI folder."""
    if alive(layout, name):
        return
    group = cgroups.daemon_cgroup(layout, name)
    group.mkdir(parents=True, exist_ok=True)
    _pids(layout).mkdir(exist_ok=True)
    inside = ["nsenter", f"--net=/run/netns/{layout.namespace(node)}", *(str(word) for word in command)]
    with (layout.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", JOIN_THEN_RUN, "sh", str(group), str(_pids(layout) / name), *inside],
            cwd=layout.pki,
            env={**os.environ, "PATH": f"{layout.binaries}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_until(
        lambda: process.poll() is not None or alive(layout, name),
        seconds=JOIN_SECONDS,
        otherwise=lambda: f"{name} did not enter its cgroup {group}",
    )


def why_not(layout: Layout, name: str, expectation: str) -> str:
    """The message for a daemon that did not do what was expected of it in time."""
    state = "runs, but" if alive(layout, name) else "has ended, and so"
    return f"{name} {state} {expectation}; {tail(layout.logs / f'{name}.log')}"


def _pids(layout: Layout) -> Path:
    return layout.state / "run"


def _pid(layout: Layout, name: str) -> int | None:
    try:
        return int((_pids(layout) / name).read_text())
    except (FileNotFoundError, ValueError):  # never started, or killed while this was written
        return None
