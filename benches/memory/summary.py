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
# "Back to idle": an allocator keeps some pages of what it gave out for the next time.
KEPT_MIB = 1.0

NOTES = f"""\
Every connection carried {HELD_EXCHANGE // 1024} KiB each way before it idled. RSS and PSS are /proc/PID/smaps_rollup's;
what the kernel keeps for sockets is not in them. PSS splits the pages that two proxies of one binary share.
"""


def summarise(found: Mapping[str, Sequence[Figures]]) -> Report:
    """Medians over proxies and rounds."""
    rows = []
    for kind in KINDS:
        runs = found[kind]
        states = ([run.idle for run in runs], [run.holding for run in runs], [run.after for run in runs])
        cells = [figure(median([memory.rss for memory in state]) / MIB) for state in states]
        grown = figure(_growth(runs))
        rows.append([kind, cells[0], figure(median([run.idle.pss for run in runs]) / MIB), cells[1], grown, cells[2]])
    ours = found[INJECTOR]
    idle = median([run.idle.rss for run in ours]) / MIB
    kept = median([run.after.rss - run.idle.rss for run in ours]) / MIB
    return Report(
        name="memory",
        tables=[
            Table(
                "Memory of one proxy, MiB (medians)",
                ["", "idle RSS", "idle PSS", f"{CONNECTIONS:,} connections", "growth", "after"],
                rows,
            )
        ],
        aims=[
            Aim("idle memory (RSS) of one proxy", IDLE_MIB, idle, "MiB"),
            Aim(f"growth with {CONNECTIONS:,} idle connections", GROWTH_MIB, _growth(ours), "MiB"),
            Aim("kept after they are closed", KEPT_MIB, kept, "MiB"),
        ],
        notes=NOTES,
        raw={kind: [asdict(run) for run in runs] for kind, runs in found.items()},
    )


def _growth(runs: Sequence[Figures]) -> float:
    return median([run.holding.rss - run.idle.rss for run in runs]) / MIB
