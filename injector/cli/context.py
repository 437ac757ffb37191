"""By whose settings a preview is made: what the command was given, or what the cluster has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from injector.cli.documents.read import Document, read_documents
from injector.cli.manifests import load_manifests
from injector.cli.outcome import CommandError
from injector.cli.preview import NamespaceOf, declared_namespaces
from injector.cli.render import INSTALLATION_KEY, installation
from injector.inject.annotations import unknown_keys
from injector.inject.installation import Installation, InstallationError
from injector.inject.model import Namespace
from injector.inject.names import PREFIX


@dataclass(frozen=True, slots=True)
class Context:
    """Everything but the pod itself that a decision rests on."""

    namespace_of: NamespaceOf
    installation: Installation
    opted_in: bool
    """True: as if every namespace were opted in. False: as each pod and namespace says."""
    notes: tuple[str, ...] = ()
    """What the reader should know about where this comes from."""


def offline_context(
    documents: list[Document], file: Path | None, *, annotations: Mapping[str, str], labels: Mapping[str, str]
) -> Context:
    """The settings named on the command line; where a Namespace is among the documents, its own come first."""
    given = {key if "/" in key else PREFIX + key: value for key, value in annotations.items()}
    declared = declared_namespaces(documents)

    def namespace_of(name: str) -> Namespace:
        own = declared.get(name, Namespace(name))
        return Namespace(name, {**own.labels, **labels}, {**own.annotations, **given})

    return Context(namespace_of, _installation(file), opted_in=True, notes=tuple(unknown_keys(given)))


def _installation(file: Path | None) -> Installation:
    """From `installation.yaml`, from manifests that hold its ConfigMap, or this version's defaults."""
    if file is None:
        return installation(load_manifests())
    try:
        documents, faults = read_documents(file.read_bytes(), str(file))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from error
    if faults:
        raise CommandError(*map(str, faults))
    objects = [document for document in documents if isinstance(document.value, dict) and "kind" in document.value]
    try:
        if not objects:
            return Installation.parse(documents[0].value if documents else None)
        return installation(objects)
    except InstallationError as bad:
        raise CommandError(*(f"{file}: {fault}" for fault in bad.faults)) from bad
    except KeyError as error:
        raise CommandError(
            f"{file}: expected {INSTALLATION_KEY}, or objects with a ConfigMap injector-installation"
        ) from error
