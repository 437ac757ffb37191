"""The test application's image: one static Go binary, built from tests/cluster/app and handed to the nodes."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from tests.cluster.kubernetes import images
from tests.cluster.kubernetes.layout import Layout
from tests.cluster.kubernetes.shell import Failure, run
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.progress import step

IMAGE_VARIABLE: Final = "INJECTOR_TEST_APP_IMAGE"
SOURCES: Final = Path(__file__).resolve().parents[1] / "app"
PROGRAM: Final = "/app"


def _version() -> str:
    """A tag that changes with the sources, so that a node never runs an older build."""
    digest = hashlib.sha256()
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


IMAGE: Final = os.environ.get(IMAGE_VARIABLE) or f"docker.io/injector-tests/app:{_version()}"


def ensure(cluster: Cluster) -> None:
    """Have the image on every node of our own cluster; a given cluster must be able to pull it."""
    if cluster.ours is None:
        if IMAGE_VARIABLE not in os.environ:
            raise Failure(
                f"{IMAGE_VARIABLE} must name an image that the given cluster's nodes can pull: "
                f"{SOURCES} built with CGO_ENABLED=0, as {PROGRAM} and entrypoint"
            )
        return
    nodes = cluster.ours.existing_nodes()
    if any(IMAGE not in images.present(cluster.ours, node) for node in nodes):
        _build_and_import(cluster.ours)


def _build_and_import(layout: Layout) -> None:
    with step(f"building {IMAGE}"), tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        run(
            ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{root}{PROGRAM}", "."],
            cwd=SOURCES,
            env={**os.environ, "CGO_ENABLED": "0"},
        )
        images.import_directory(layout, layout.existing_nodes(), IMAGE, root, entrypoint=[PROGRAM])
