"""Namespaces and the installation's settings, as a cluster has them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from injector.cli.cluster import in_cluster
from injector.cli.context import Context
from injector.cli.documents.read import Document
from injector.cli.manifests import load_manifests
from injector.cli.outcome import CommandError
from injector.cli.preview import declared_namespaces
from injector.cli.render import INSTALLATION_KEY, installation, parse_installation
from injector.cli.workloads import Place, TemplateError, places
from injector.inject.installation import Installation, InstallationError
from injector.inject.model import Json, Namespace, Workload
from injector.inject.names import SYSTEM_NAMESPACE
from injector.kube.errors import Forbidden, NotFound
from injector.kube.resources import CONFIG_MAPS, JOBS, NAMESPACES, REPLICA_SETS

if TYPE_CHECKING:
    from injector.kube.client import KubeClient


def namespace_of(found: Json) -> Namespace:
    """What of a Namespace object bears on its pods."""
    metadata = found["metadata"]
    return Namespace(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {})


async def read_installation(kube: "KubeClient") -> tuple[Installation, tuple[str, ...]]:
    """The cluster's settings; where they may not be read or are not there, this version's, with a note that says so."""
    try:
        found = await kube.get(CONFIG_MAPS, namespace=SYSTEM_NAMESPACE, name="injector-installation")
    except (Forbidden, NotFound) as error:
        why = "may not be read with your rights" if isinstance(error, Forbidden) else "do not exist"
        return installation(load_manifests()), (
            f"the installation's settings {why}; this version's defaults are taken",
        )
    try:
        return parse_installation(str((found.get("data") or {}).get(INSTALLATION_KEY, ""))), ()
    except InstallationError as bad:
        where = f"ConfigMap {SYSTEM_NAMESPACE}/injector-installation"
        raise CommandError(*(f"{where}: {fault}" for fault in bad.faults)) from bad


async def owner_of(kube: "KubeClient", pod: Json) -> Workload:
    """The workload that a person would name: a ReplicaSet's Deployment, a Job's CronJob. Without the right to read
    the owner, the owner itself."""
    workload = Workload.of(pod)
    resource = {"ReplicaSet": REPLICA_SETS, "Job": JOBS}.get(workload.kind)
    if resource is None:
        return workload
    try:
        owner = await kube.get(resource, namespace=pod["metadata"]["namespace"], name=workload.name, metadata_only=True)
    except (Forbidden, NotFound):
        return workload
    above = Workload.of(owner)
    return workload if above.kind == "Pod" else above


def live_context(
    documents: list[Document], default_namespace: str, kubeconfig: Path | None, context: str | None
) -> Context:
    """What the cluster's webhook would go by for the pods in the documents.

    A namespace that the cluster does not have yet counts as its Namespace object among the documents says.
    """
    names = sorted({place.namespace for document in documents for place in _places(document, default_namespace)})

    async def read(kube: "KubeClient") -> Context:
        settings, notes = await read_installation(kube)
        found = dict(declared_namespaces(documents))
        for name in names:
            try:
                found[name] = namespace_of(await kube.get(NAMESPACES, name=name))
            except NotFound:
                if name not in found:
                    notes += (f"the cluster has no namespace {name}; it is taken to be one without annotations",)
        return Context(lambda name: found.get(name, Namespace(name)), settings, opted_in=False, notes=notes)

    return in_cluster(kubeconfig, context, read)


def _places(document: Document, default_namespace: str) -> Iterable[Place]:
    try:
        return list(places(document.value, default_namespace))
    except TemplateError:
        return []  # reported where the document itself is treated
