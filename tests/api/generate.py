"""Makes the Python messages of the contract: `python -m tests.api.generate` writes them where they are kept."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def generate(directory: Path) -> None:
    """Write `injector/api/mesh_pb2.py` and its types below a directory."""
    outputs = [f"--python_out={directory}", f"--mypy_out=quiet:{directory}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(CHECKOUT), *outputs, "injector/api/mesh.proto"]
    plugins = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, cwd=CHECKOUT, env={**os.environ, "PATH": plugins})


if __name__ == "__main__":
    generate(CHECKOUT)
