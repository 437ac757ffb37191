"""Keeps the contract as it is released: `python -m tests.api.freeze 0.1.0` writes tests/api/frozen/0.1.0.binpb."""

import sys
from pathlib import Path

from injector.api import mesh_pb2


def freeze(version: str) -> Path:
    """Write the descriptor of today's contract under the version's name; an existing one is never overwritten."""
    path = Path(__file__).parent / "frozen" / f"{version}.binpb"
    with path.open("xb") as file:
        file.write(mesh_pb2.DESCRIPTOR.serialized_pb)
    return path


if __name__ == "__main__":
    print(freeze(sys.argv[1]))
