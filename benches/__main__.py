"""What a person types: `scripts/bench`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from benches import machine
from benches.http.rows import BY_NAME, LINKS, MEMORY, Selection
from benches.processes import OUTPUT
from benches.progress import BenchError, say
from benches.report import Report, render, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.start.trace import Trace

TABLE_WIDTH = 140
"""Columns where there is no terminal to ask: as wide as the widest table."""

HIGHEST_PRIORITY = -20  # nice(2)

EPILOG = """\
  webhook   reviews a second and CPU a review over TLS, by pod size and clients, beside a bare FastAPI route
  tcp       throughput, CPU, latency and connection set-up: unmeshed, through two proxies, through two HAProxies
  tls       one stream and new connections under mutual TLS: through two proxies, two HAProxies, two Envoys
  http      requests a second, latency, CPU a request, gRPC, bodies: unmeshed, through pairs of ours, HAProxies, Envoys
  connections memory of both proxies with 10,000 idle HTTP connections and 1,000 busy ones, and a minute after
  memory    what a proxy occupies idle and with 1,000 idle connections, beside HAProxy
  discovery 2,000 proxies' streams on one core: a rolling deployment, everybody reconnecting, a scan
  start     from a pod's create request to Ready: unmeshed, with no-op containers, meshed
  all       these, one after the other

Every figure is a median of runs that were interleaved with their peers'. All raw figures are written to .bench/.
examples: scripts/bench tcp memory --quick
          scripts/bench http --rows closed-32 --links injector,haproxy
          scripts/bench http --cluster

environment: INJECTOR_PROXY_BINARY is measured instead of a fresh static release build, which is then not made

exit codes: 0 measured, whatever came out; 1 could not measure, and why; 2 wrong usage
"""


def _webhook(*, quick: bool) -> Report:
    from benches.webhook import measure, summary

    return summary.summarise(measure.measure(seconds=1.0 if quick else 2.0))


def _tcp(*, quick: bool) -> Report:
    from benches.tcp import measure, summary

    return summary.summarise(measure.measure(seconds=1.0 if quick else 3.0))


def _tls(*, quick: bool) -> Report:
    from benches.tls import measure, summary

    return summary.summarise(measure.measure(seconds=1.0 if quick else 4.0))


def _memory(*, quick: bool) -> Report:
    from benches.memory import measure, summary

    return summary.summarise(measure.measure(settle=1.0 if quick else measure.SETTLE_SECONDS))


def _start(*, quick: bool) -> Report:
    from benches import cluster
    from benches.namespaces import entered
    from benches.start import measure, mesh, pods, summary
    from injector.kube.client import connect

    layout = cluster.with_nodes()
    mesh.install()
    node = layout.existing_nodes()[-1].name

    async def starts() -> dict[str, list[Trace]]:
        async with connect(kubeconfig=layout.kubeconfig) as kube:
            return await measure.measure(kube, pods.ALL, rounds=3 if quick else 12, node=node)

    with entered(cluster.network(layout)):
        return summary.summarise(asyncio.run(starts()))


def _discovery(*, quick: bool) -> Report:
    from benches.discovery import measure, summary

    return summary.summarise(measure.measure(quick=quick))


def _http(selection: Selection, *, quick: bool) -> Report:
    from benches.http import measure, summary

    return summary.summarise(measure.measure(1.0 if quick else 4.0, 3.0 if quick else 30.0, selection))


def _connections(*, quick: bool) -> Report:
    from benches.connections import measure, summary

    return summary.summarise(measure.measure(measure.QUICK if quick else measure.Amount()))


MEASUREMENTS: dict[str, Callable[..., Report]] = {
    "webhook": _webhook,
    "tcp": _tcp,
    "tls": _tls,
    "http": _http,
    "connections": _connections,
    "memory": _memory,
    "discovery": _discovery,
    "start": _start,
}


def main() -> int:
    """Measure what is asked for, print it, keep it."""
    told = _parser().parse_args()
    names = list(MEASUREMENTS) if "all" in told.what else list(dict.fromkeys(told.what))
    described = machine.describe()
    _take_precedence()
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    reports = []
    try:
        for name in names:
            say(f"measuring {name}")
            given = [Selection(told.rows, told.links, cluster=told.cluster)] if name == "http" else []
            report = MEASUREMENTS[name](*given, quick=told.quick)
            reports.append(report)
            _keep(report, described)
            if told.output == "table":
                console.print(f"[bold]{name}[/bold] on {machine.line(described)}", highlight=False)
                render(report, console)
    except BenchError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    if told.output == "json":
        print(json.dumps(to_json(reports, described), indent=2))
    return 0


def _take_precedence() -> None:
    """The measured processes inherit this: what else runs on the machine gets what they leave."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)


def _keep(report: Report, described: dict[str, str | int | float]) -> None:
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{report.name}.json"
    path.write_text(json.dumps(to_json([report], described), indent=2) + "\n")
    say(f"raw figures: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure Injector beside its peers on this machine. Needs root; best on an otherwise idle machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", choices=[*MEASUREMENTS, "all"], default=["all"], help="default: all")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    for name, known in (("rows", (MEMORY, *BY_NAME)), ("links", LINKS)):
        words = f"of http, only these: {', '.join(known)}"
        parser.add_argument(f"--{name}", type=_some(known), default=known, metavar="NAME,…", help=words)
    parser.add_argument(
        "--cluster", action="store_true", help="of http: between pods of the cluster, with its sidecars"
    )
    parser.add_argument("--quick", action="store_true", help="short runs: the order of things, not figures to quote")
    return parser


def _some(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def some(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {name!r}")
        return names

    return some


if __name__ == "__main__":
    sys.exit(main())
