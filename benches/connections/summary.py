"""The connections' figures as a table and aims. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.connections.measure import ENDS, Figures, Found
from benches.http.rows import INJECTOR
from benches.report import Aim, Report, Table, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE, KIB = 1e6, 1024
PLAIN_KIB, ENCRYPTED_KIB = 4, 12
"""What an idle connection may take, without and with TLS."""
AFTER = 1.2
"""What may be left afterwards, of what there was before."""


def summarise(found: Found) -> Report:
    """A row for each proxy."""
    idle, busy = found.amount.idle, found.amount.busy
    columns = ["", "before MB", "holds plain", "holds TLS", f"{idle:,} idle MB", "KiB each"]
    columns += [f"and {busy:,} busy MB", "after MB"]
    rows = []
    for kind, proxies in found.proxies.items():
        for end, one in zip(ENDS, proxies, strict=True):
            grown = (one.idle.rss - one.before.rss) / KIB
            cells = [one.before.rss / MEGABYTE, one.held.plain, one.held.encrypted, one.idle.rss / MEGABYTE]
            cells += [grown / idle, one.busy.rss / MEGABYTE, one.after.rss / MEGABYTE]
            rows.append([f"{kind}, {end}", *map(figure, cells)])
    return Report(
        name="connections",
        tables=[Table("Memory of each proxy (RSS)", columns, rows)],
        aims=list(_aims(found)),
        notes=_notes(found),
        raw={kind: [asdict(one) for one in proxies] for kind, proxies in found.proxies.items()},
    )


def _aims(found: Found) -> Iterator[Aim]:
    for end, one in zip(ENDS, found.proxies[INJECTOR], strict=True):
        what = f"{end} proxy: growth, of {PLAIN_KIB} KiB a plain connection and {ENCRYPTED_KIB} KiB one with TLS"
        yield Aim(what, 1.0, (one.idle.rss - one.before.rss) / KIB / allowed_kib(one), "")
        left = one.after.rss / one.before.rss
        yield Aim(f"{end} proxy: left {found.amount.after_seconds:.0f} s after, of before", AFTER, left, "")


def allowed_kib(one: Figures) -> float:
    """What its idle connections may take together."""
    return max(1, PLAIN_KIB * one.held.plain + ENCRYPTED_KIB * one.held.encrypted)


def _notes(found: Found) -> str:
    amount = found.amount
    return f"""\
The client opens {amount.idle:,} connections and asks once on each; then {amount.busy:,} others ask all the time (wrk).
"holds": connections that the proxy has while they idle, with its application and with the other proxy; one that shares
its connections to the other proxy has few of those. "KiB each": growth for each of the client's connections. "after":
{amount.after_seconds:.0f} s after all were closed. RSS is /proc/PID/smaps_rollup's; what the kernel keeps for sockets
is not in it.
"""
