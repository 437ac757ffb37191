"""kubectl's own reading of scalars and keys, against ours."""

import json
import subprocess
from typing import Any

import pytest

from injector.cli.documents.read import read_documents
from tests.cli.test_documents import SCALARS
from tests.cluster.kubernetes.binaries import ensure
from tests.cluster.kubernetes.layout import Layout

KEYS = ["on", "yes", "y", "1", "1.5", "true", "0x10", "2001-01-01", "1e3", "010"]


@pytest.fixture(scope="module")
def kubectl() -> str:
    layout = Layout.from_environment()
    ensure(layout)
    return str(layout.binaries / "kubectl")


def kubectl_reads(kubectl: str, text: str) -> Any:
    """`--local` asks no cluster: it only decodes, annotates and prints."""
    command = [kubectl, "annotate", "--local", "-f", "-", "x=y", "-o", "json"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    return json.loads(done.stdout)["spec"]


@pytest.mark.cluster
def test_scalars_and_keys_mean_the_same_to_kubectl(kubectl: str) -> None:
    spec = [f"  s{number}: {text}" for number, (text, _) in enumerate(SCALARS)]
    spec += [f"  k{number}: {{{key}: v}}" for number, key in enumerate(KEYS)]
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nspec:\n" + "\n".join(spec) + "\n"
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert not faults
    assert documents[0].value["spec"] == kubectl_reads(kubectl, text)
