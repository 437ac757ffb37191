"""Objects of a cluster as its API server shows them, small."""

from typing import Any

from injector.cli.context import offline_context
from injector.cli.documents.read import Document
from injector.cli.manifests import load_manifests
from injector.cli.preview import inject_documents
from injector.cli.render import installation
from injector.inject.names import INJECT

INSTALLATION = installation(load_manifests())
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def namespace(
    name: str, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    metadata = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def opted_in(name: str, **labels: str) -> dict[str, Any]:
    return namespace(name, {INJECT: "enabled"}, {INJECT: "enabled", **labels})


def pod(name: str, where: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": where, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "c", "image": "x"}], **spec},
        "status": dict(READY),
    }


def meshed(plain: dict[str, Any]) -> dict[str, Any]:
    """The pod as the webhook would have made it."""
    document = Document("t", 1, "", plain)
    context = offline_context([document], None, annotations={}, labels={})
    outcome = inject_documents([document], context.namespace_of, INSTALLATION, "default", opted_in=True)
    value: dict[str, Any] = outcome.documents[0].value
    return value
