"""Tables, aims and JSON."""

import io
import json

import pytest
from rich.console import Console

from benches.report import Aim, Report, Table, figure, render, to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000012, "0.000012"),
        (0.0123, "0.0123"),
        (0.4, "0.4"),
        (1.234, "1.23"),
        (14.37, "14.4"),
        (99.96, "100"),
        (152000.4, "152,000"),
        (-1.5, "-1.5"),
    ],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_an_aim_may_be_reached_and_not_exceeded() -> None:
    assert Aim("p99", 10, 10, "ms").met
    assert not Aim("p99", 10, 10.1, "ms").met
    assert str(Aim("p99", 10, 2, "ms")) == "✓ p99: 2 ms (aim: 10 ms)"
    assert str(Aim("p99", 10, 12, "ms")) == "✗ p99: 12 ms (aim: 10 ms)"


def test_a_row_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells"):
        Table("t", ["", "a"], [["x", "1"], ["y"]])


REPORT = Report(
    name="tcp",
    tables=[Table("Throughput", ["", "Gb/s"], [["unmeshed", "14.4"], ["injector", "9.1"]])],
    aims=[Aim("idle memory", 4, 3, "MiB"), Aim("growth", 8, 9, "MiB")],
    notes="How it was [measured].",
    raw=[{"link": "unmeshed", "rate": 14.4e9}],
)


def test_everything_is_printed() -> None:
    output = io.StringIO()
    render(REPORT, Console(file=output, width=100))
    text = output.getvalue()
    for part in ("Throughput", "unmeshed", "14.4", "✓ idle memory", "✗ growth", "How it was [measured]."):
        assert part in text


def test_json_has_raw_figures_and_verdicts() -> None:
    document = json.loads(json.dumps(to_json([REPORT], {"cpu": "x"})))
    assert document["machine"] == {"cpu": "x"}
    measured = document["measurements"]["tcp"]
    assert [aim["met"] for aim in measured["aims"]] == [True, False]
    assert measured["raw"] == [{"link": "unmeshed", "rate": 14.4e9}]
