"""What a measurement found, as tables for a person and as JSON for a program. Pure but for `render`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Aim:
    """Something promised: what, the bound, what was measured (both in `unit`). The bound may be reached."""

    what: str
    at_most: float
    measured: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether the promise holds."""
        return self.measured <= self.at_most

    def __str__(self) -> str:
        mark = "✓" if self.met else "✗"
        return f"{mark} {self.what}: {figure(self.measured)} {self.unit} (aim: {figure(self.at_most)} {self.unit})"


@dataclass(frozen=True, slots=True)
class Table:
    """Texts, ready to be read. The first column names a row, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: expected {len(self.columns)} cells in a row, got {len(row)}: {row}")


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement: tables and aims to read, notes on how it was measured, and every raw figure."""

    name: str
    tables: Sequence[Table]
    aims: Sequence[Aim]
    notes: str
    raw: Any = field(repr=False)


def figure(value: float) -> str:
    """Three significant digits, without exponents: 0.0123, 1.23, 12.3, 123, 12300 as 12,300."""
    if value == 0:
        return "0"
    whole = abs(value) >= 100
    if whole:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.7f}".rstrip("0").rstrip(".")


def render(report: Report, console: Console) -> None:
    """Print tables, aims with ✓ or ✗, and notes."""
    for table in report.tables:
        printed = RichTable(title=table.title, title_justify="left", title_style="bold")
        for index, column in enumerate(table.columns):
            printed.add_column(column, justify="right" if index else "left")
        for row in table.rows:
            printed.add_row(*row)
        console.print(printed)
    for aim in report.aims:
        console.print(Text(str(aim), style="green" if aim.met else "bold red"))
    console.print(Text(report.notes, style="dim"))


def to_json(reports: Sequence[Report], machine: dict[str, Any]) -> dict[str, Any]:
    """All that was measured, with units in the names of raw figures."""
    return {
        "machine": machine,
        "measurements": {
            report.name: {
                "aims": [{**asdict(aim), "met": aim.met} for aim in report.aims],
                "notes": report.notes,
                "raw": report.raw,
            }
            for report in reports
        },
    }
