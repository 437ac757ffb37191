"""The README's tables, from what the code declares, so that page and code cannot say different things."""

from collections.abc import Iterable
from typing import Final

from injector.inject.annotations import KEYS
from injector.inject.names import ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT, TAP_PORT

_PORTS: Final = (
    (OUTBOUND_PORT, "the pod itself (loopback only)", "connections that the pod opens, redirected here"),
    (INBOUND_PORT, "other pods", "connections that reach the pod, redirected here; never redirected themselves"),
    (TAP_PORT, "nobody yet", "reserved for watching live traffic; never redirected"),
    (
        ADMIN_PORT,
        "the kubelet, Prometheus",
        "`/live`, `/ready`, `/metrics` and the pod's declared probes; never redirected",
    ),
)


def annotations_table() -> str:
    """Every annotation in Markdown, a row each, in the order of their declaration."""
    return _table(
        ("Annotation", "Type", "Default", "Values", "Where", "What it does"),
        ((f"`{key.annotation}`", key.type, _code(key.default), key.range, key.where, key.sentence) for key in KEYS),
    )


def ports_table() -> str:
    """The proxy's ports in Markdown, ascending."""
    return _table(("Port", "Who connects", "What for"), ((str(port), who, what) for port, who, what in _PORTS))


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lines of a Markdown table, each ended by a line feed."""
    lines = (heads, tuple("---" for _ in heads), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
