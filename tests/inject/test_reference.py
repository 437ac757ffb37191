"""The README says what the code does, table by table."""

from pathlib import Path

import pytest

from injector.inject.annotations import KEYS
from injector.inject.names import PROXY_PORTS
from injector.inject.reference import annotations_table, ports_table
from tests.inject.golden import agree

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize(("name", "table"), [("annotations", annotations_table()), ("ports", ports_table())])
def test_the_readmes_tables_are_the_generated_ones(name: str, table: str) -> None:
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = README.read_text().partition(start)
    _, found, after = rest.partition(end)
    assert found, f"README.md has no place for the {name}"
    agree(README, before + start + table + end + after)


def test_every_annotation_and_every_port_has_a_row() -> None:
    rows = annotations_table().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == [f"`{key.annotation}`" for key in KEYS]
    assert {row.count(" | ") for row in rows} == {5}
    assert {int(row.split("|")[1]) for row in ports_table().splitlines()[2:]} == PROXY_PORTS
