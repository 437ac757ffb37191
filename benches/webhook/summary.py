"""The webhook's figures as a table, a fit and aims. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.report import Aim, Report, Table, figure
from benches.statistics import Line, fit, median
from benches.webhook.measure import BARE, CLIENTS, ROUNDS, SIZES, WEBHOOK, Case, Figures
from benches.webhook.reviews import KIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CPU_MILLISECONDS = 0.4
P99_MILLISECONDS = 10.0
# A cost that grew with the square of the size would be off a line by hundreds of per cent over these three sizes.
LINEAR_PERCENT = 20.0
SMALL, MANY = SIZES[0], CLIENTS[-1]

NOTES = """\
injector webhook: the shipped process, its caches filled from a real API server. The servers have one core, the
load has another, each before anything else there (SCHED_RR); TLS 1.3, connections kept. CPU is the server process's own
user and system time.
bare FastAPI route: decodes the review and allows it. trivial server: answers unread, to show that the load could go on
much faster (the load's share of its core is in the raw figures).
"""


def summarise(found: Mapping[Case, Sequence[Figures]]) -> Report:
    """Medians of the rounds; the aims are for the smallest pod and most clients."""
    line = size_line(found)
    small = found[Case(WEBHOOK, SMALL, MANY)]
    linear = f"CPU per review over size: {line.base * 1000:.2f} ms + {line.slope * KIB * 1e6:.1f} µs per KiB; worst"
    return Report(
        name="webhook",
        tables=[
            Table(
                f"Reviews over TLS on one core (medians of {ROUNDS})",
                ["pod, clients", "server", "reviews/s", "CPU ms each", "p50 ms", "p99 ms", "CPU, bare = 1"],
                [_row(case, found) for case in sorted(found, key=lambda case: (case.pod_bytes, case.clients))],
            )
        ],
        aims=[
            Aim("CPU per review at 4 KB", CPU_MILLISECONDS, _cpu(small) * 1000, "ms"),
            Aim(f"p99 at {MANY} clients, 4 KB", P99_MILLISECONDS, median([run.p99 for run in small]) * 1000, "ms"),
            Aim(f"{linear} deviation from that line", LINEAR_PERCENT, line.worst * 100, "%"),
        ],
        notes=NOTES,
        raw=[{**asdict(case), "runs": [asdict(run) for run in runs]} for case, runs in found.items()],
    )


def size_line(found: Mapping[Case, Sequence[Figures]]) -> Line:
    """CPU seconds of one review of ours by pod bytes."""
    return fit([(size, _cpu(found[Case(WEBHOOK, size, MANY)])) for size in SIZES])


def _cpu(runs: Sequence[Figures]) -> float:
    return median([run.cpu_seconds_per_review for run in runs])


def _row(case: Case, found: Mapping[Case, Sequence[Figures]]) -> list[str]:
    runs, bare = found[case], _cpu(found[Case(BARE, case.pod_bytes, case.clients)])
    return [
        f"{case.pod_bytes // KIB} KB, {case.clients}",
        case.server,
        figure(median([run.reviews_per_second for run in runs])),
        figure(_cpu(runs) * 1000),
        figure(median([run.p50 for run in runs]) * 1000),
        figure(median([run.p99 for run in runs]) * 1000),
        figure(_cpu(runs) / bare),
    ]
