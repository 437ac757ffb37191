"""What a proxy counts, as its /metrics tells."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

PREFIX: Final = "injector_proxy_"

Direction: TypeAlias = Literal["inbound", "outbound"]
Flow: TypeAlias = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes through one direction of a proxy: `in` from whoever opened the connections, `out` to them."""

    received: int
    sent: int

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.received - earlier.received, self.sent - earlier.sent)


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of `injector_proxy_<name>` that have these labels; 0 where there is none."""
        return sum(
            value
            for sample, present, value in self._samples
            if sample == PREFIX + name and labels.items() <= present.items()
        )

    def labels(self, name: str) -> dict[str, str]:
        """The labels of the one series of `injector_proxy_<name>`."""
        found = [present for sample, present, _ in self._samples if sample == PREFIX + name]
        assert len(found) == 1, f"expected one series of {PREFIX}{name}, got {found}"
        return found[0]

    def traffic(self, direction: Direction) -> Traffic:
        """Payload bytes through one direction since the proxy started."""
        return Traffic(*(int(self.total("tcp_bytes_total", direction=direction, flow=flow)) for flow in ("in", "out")))

    def connections(self, direction: Direction) -> int:
        """Connections accepted in one direction since the proxy started."""
        return int(self.total("tcp_connections_total", direction=direction))

    def open_connections(self) -> int:
        """Connections that are open now, in both directions."""
        return int(self.total("tcp_open_connections"))
