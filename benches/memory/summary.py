"""The memory figures as a table and aims. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.memory.measure import CONNECTIONS, KINDS, Figures
from benches.report import Aim, Report, Table, figure
from benches.statistics import median
from benches.tcp.meshes import INJECTOR
from benches.tcp.traffic import HELD_EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIB = 2**20
IDLE_MIB = 4.0
GROWTH_MIB = 8.0
# An allocator keeps pages of what it gave out, for the next time; then the next time must need no more.
LOST_MIB = 0.25

NOTES = f"""\
Every connection carried {HELD_EXCHANGE // 1024} KiB each way before it idled. RSS and PSS are /proc/PID/smaps_rollup's;
what the kernel keeps for sockets is not in them. PSS splits the pages that two proxies of one binary share. "closed":
after they were closed; "closed again": after as many others came and went.
"""


def summarise(found: Mapping[str, Sequence[Figures]]) -> Report:
    """Medians over proxies and rounds."""
    rows = []
    for kind in KINDS:
        runs = found[kind]
        idle, holding, after, again = (
            figure(median([memory.rss for memory in state]) / MIB)
            for state in zip(*((run.idle, run.holding, run.after, run.again) for run in runs), strict=True)
        )
        pss = figure(median([run.idle.pss for run in runs]) / MIB)
        rows.append([kind, idle, pss, holding, figure(_growth(runs)), after, again])
    ours = found[INJECTOR]
    idle_mib = median([run.idle.rss for run in ours]) / MIB
    lost = median([run.again.rss - run.after.rss for run in ours]) / MIB
    return Report(
        name="memory",
        tables=[
            Table(
                "Memory of one proxy, MiB (medians)",
                ["", "idle RSS", "idle PSS", f"{CONNECTIONS:,} connections", "growth", "closed", "closed again"],
                rows,
            )
        ],
        aims=[
            Aim("idle memory (RSS) of one proxy", IDLE_MIB, idle_mib, "MiB"),
            Aim(f"growth with {CONNECTIONS:,} idle connections", GROWTH_MIB, _growth(ours), "MiB"),
            Aim(f"more after {CONNECTIONS:,} others came and went", LOST_MIB, lost, "MiB"),
        ],
        notes=NOTES,
        raw={kind: [asdict(run) for run in runs] for kind, runs in found.items()},
    )


def _growth(runs: Sequence[Figures]) -> float:
    return median([run.holding.rss - run.idle.rss for run in runs]) / MIB
