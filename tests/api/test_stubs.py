"""The generated messages are those of the contract as it stands."""

from pathlib import Path

import pytest

from tests.api.generate import CHECKOUT, generate


@pytest.mark.parametrize("name", ["mesh_pb2.py", "mesh_pb2.pyi"])
def test_the_stubs_are_current(name: str, tmp_path: Path) -> None:
    generate(tmp_path)
    made, stored = tmp_path / "injector/api" / name, CHECKOUT / "injector/api" / name
    assert stored.read_text() == made.read_text(), "run: python -m tests.api.generate"
