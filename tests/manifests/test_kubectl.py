"""kubectl's own word on the manifests."""

import subprocess
from pathlib import Path

import pytest

from injector.cli.documents.read import read_documents
from injector.cli.manifests import load_manifests, manifest_directory
from tests.cluster.kubernetes.binaries import ensure
from tests.cluster.kubernetes.layout import Layout


@pytest.mark.cluster
def test_kubectl_kustomize_gives_the_same_objects_as_install(tmp_path: Path) -> None:
    layout = Layout.from_environment()
    ensure(layout)
    command = [str(layout.binaries / "kubectl"), "kustomize", str(manifest_directory())]
    rendered = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout
    documents, faults = read_documents(rendered, "kubectl kustomize")
    assert not faults

    def named(document_values: list[dict[str, object]]) -> dict[tuple[str, str], object]:
        return {(str(value["kind"]), str(value["metadata"]["name"])): value for value in document_values}  # type: ignore[index]

    ours = [document.value for document in load_manifests()]
    assert named([document.value for document in documents]) == named(ours)
    assert len(documents) == len(ours)
