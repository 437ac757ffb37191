"""The plain manifests that this version installs, as they stand in the distribution."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from injector.cli.documents.read import Document, read_documents


def manifest_directory() -> Traversable:
    """Where the manifests are: inside the installed package, or beside it in a checkout."""
    installed = files("injector") / "manifests"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "manifests"


def load_manifests() -> list[Document]:
    """Every object, in the order in which the kustomization lists the files."""
    directory = manifest_directory()
    return [
        document
        for name in _read(directory, "kustomization.yaml")[0].value["resources"]
        for document in _read(directory, name)
    ]


def _read(directory: Traversable, name: str) -> list[Document]:
    documents, faults = read_documents((directory / name).read_bytes(), name)
    if faults:
        raise ValueError("the installed manifests are damaged: " + "; ".join(map(str, faults)))
    return documents


def find(documents: list[Document], kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name; a KeyError where there is none, for the manifests are ours."""
    for document in documents:
        if document.value["kind"] == kind and document.value["metadata"]["name"] == name:
            value: dict[str, Any] = document.value
            return value
    raise KeyError(f"{kind}/{name}")
