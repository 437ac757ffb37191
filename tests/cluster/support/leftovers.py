"""What a killed run left in the cluster: each object names its run, and who comes later removes those of the dead."""

import os
from pathlib import Path
from typing import Final

from tests.cluster.support.api import Api
from tests.cluster.support.progress import step

LABEL: Final = "injector.mesh-tests/owner"
"""On every namespace of these tests, and on whatever else of theirs no namespace takes with it."""

KINDS: Final = ("MutatingWebhookConfiguration", "Namespace")
END_SECONDS: Final = 120.0
STARTED: Final = 22 - 3
"""Of the fields behind a process's name, the one that says when it started: the 22nd of all (proc_pid_stat(5))."""


def owner() -> str:
    """This run, as a label's value: its pid, and when it was started, which no later process shares with it."""
    pid = os.getpid()
    return f"{pid}-{_started(pid)}"


def sweep(api: Api) -> None:
    """Remove what runs that ended without doing so left behind, and wait until it is gone."""
    left = [
        (kind, found["metadata"]["name"])
        for kind in KINDS
        for found in api.list(kind, labels=LABEL)
        if not alive(found["metadata"]["labels"][LABEL])
    ]
    if not left:
        return
    with step(f"removing what killed runs left: {', '.join(name for _, name in left)}"):
        for kind, name in left:
            api.delete(kind, name)
        for kind, name in left:
            api.wait_gone(kind, name, seconds=END_SECONDS)


def alive(value: str) -> bool:
    """Whether the run of this label still goes on, on this machine."""
    pid, _, started = value.partition("-")
    return pid.isdigit() and _started(int(pid)) == started


def _started(pid: int) -> str:
    """When the process was started, in clock ticks since the boot; nothing where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[STARTED]
