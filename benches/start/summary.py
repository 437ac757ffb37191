"""The starts as tables and an aim. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.report import Aim, Report, Table, figure
from benches.start.pods import MESHED, NO_OP_INIT, NO_OP_SIDECAR, NO_OPS, UNMESHED
from benches.start.trace import READY, SANDBOX, SCHEDULED
from benches.statistics import median, percentile
from injector.inject.names import INIT_CONTAINER, PROXY_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benches.start.trace import Trace

OVER_NO_OPS_SECONDS = 0.3

# Milestones of a trace under the name that they share across variants.
STEPS = {
    "scheduled": (SCHEDULED,),
    "sandbox": (SANDBOX,),
    "init running": (f"{NO_OP_INIT} running", f"{INIT_CONTAINER} running"),
    "init ended": (f"{NO_OP_INIT} ended", f"{INIT_CONTAINER} ended"),
    "sidecar running": (f"{NO_OP_SIDECAR} running", f"{PROXY_CONTAINER} running"),
    "ready": (READY,),
}

NOTES = """\
From the create request to the first word of Ready on a watch; one pod at a time, images warm, one node. The kubelet
looks at its containers once a second, so starts are spread evenly over that second.
No-ops: an init container that ends at once and a native sidecar that sleeps, of the application's image. The last two
rows show what holding the application back costs by itself: a startupProbe is first tried a second after the pod's
beginning, and then waits for the next look at the containers; a postStart hook is waited for in place.
"""


def summarise(found: Mapping[str, Sequence[Trace]]) -> Report:
    """Medians and p90 of each variant, what was reached when, and the aim."""
    ready = {name: [trace.ready for trace in traces if trace.ready is not None] for name, traces in found.items()}
    plain = median(ready[UNMESHED.name])
    rows = [
        [name, str(len(times)), figure(median(times)), figure(percentile(times, 90)), f"{median(times) - plain:+.2f}"]
        for name, times in ready.items()
    ]
    over = median(ready[MESHED.name]) - median(ready[NO_OPS.name])
    return Report(
        name="start",
        tables=[
            Table("From create to Ready, seconds", ["", "pods", "median", "p90", "over unmeshed"], rows),
            Table(
                "When what was reached, seconds from the create request (medians)",
                ["", *STEPS],
                [[name, *_timeline(traces)] for name, traces in found.items()],
            ),
        ],
        aims=[Aim("a meshed pod's start over the same with no-ops (medians)", OVER_NO_OPS_SECONDS, over, "s")],
        notes=NOTES,
        raw={name: [asdict(trace) for trace in traces] for name, traces in found.items()},
    )


def _timeline(traces: Sequence[Trace]) -> list[str]:
    """The median of each step; empty where this variant has none. What is told of with the next step is that late."""
    cells = []
    for milestones in STEPS.values():
        times = [trace.reached[each] for trace in traces for each in milestones if each in trace.reached]
        cells.append(f"{median(times):.2f}" if times else "")
    return cells
