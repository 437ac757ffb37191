"""Small pods and namespaces, and short ways to ask for a review of one and to see what came of it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import jsonpatch

from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.refusal import Fault, RefusalReason
from injector.inject.review import Injected, Refused, Review, Skipped, review_pod

INSTALLATION = Installation(proxy_image="ghcr.io/injector-mesh/proxy:0.1.0")
SHOP = Namespace("shop")

Kind = TypeVar("Kind", Injected, Skipped, Refused)


def container(name: str = "web", **fields: Any) -> Json:
    """A container, with further fields in camelCase."""
    return {"name": name, "image": f"example.com/{name}:1", **fields}


def pod(*containers: Json, annotations: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A pod named web-0 of these containers (one plain container without any), with further fields of its spec."""
    metadata: Json = {"name": "web-0", "namespace": "shop"}
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def annotated(**settings: str) -> dict[str, str]:
    """Annotations under our prefix: `annotated(log_level="debug")`."""
    return {f"injector.mesh/{name.replace('_', '-')}": value for name, value in settings.items()}


def review(
    subject: Any,
    namespace: Namespace = SHOP,
    installation: Installation = INSTALLATION,
    *,
    workload: Workload | None = None,
    opted_in: bool = True,
) -> Review:
    """The review of a pod that came by its namespace's label, where nothing else is said."""
    return review_pod(subject, namespace, installation, workload=workload, opted_in=opted_in)


def expect(kind: type[Kind], reviewed: Review) -> Kind:
    """The review, which must be of this kind; what it was instead is shown."""
    assert isinstance(reviewed, kind), reviewed
    return reviewed


def injected(subject: Json, namespace: Namespace = SHOP, installation: Installation = INSTALLATION) -> Json:
    """The pod after its injection, the operations applied by an independent library."""
    operations = expect(Injected, review(subject, namespace, installation)).operations
    patched: Json = jsonpatch.apply_patch(subject, operations)
    return patched


def faults(subject: Any, namespace: Namespace = SHOP, installation: Installation = INSTALLATION) -> list[Fault]:
    """What is wrong with a pod, which must be refused."""
    return list(expect(Refused, review(subject, namespace, installation)).faults)


def reasons(subject: Any, installation: Installation = INSTALLATION) -> list[RefusalReason]:
    """Why a pod is refused, a reason a fault."""
    return [fault.reason for fault in faults(subject, installation=installation)]


def messages(subject: Any) -> str:
    """What the author of a refused pod reads, a line a fault."""
    return "\n".join(fault.message for fault in faults(subject))


def named(containers: list[Json], name: str) -> Json:
    """The one container, volume or variable of this name."""
    (found,) = [entry for entry in containers if entry["name"] == name]
    return found


def proxy_of(patched: Json) -> Json:
    """The sidecar of an injected pod."""
    return named(patched["spec"]["initContainers"], "injector-proxy")


def init_of(patched: Json) -> Json:
    """The init container of an injected pod."""
    return named(patched["spec"]["initContainers"], "injector-init")


def told(patched: Json, variable: str) -> str:
    """What an injected pod's proxy reads from one of its environment variables."""
    value: str = named(proxy_of(patched)["env"], variable).get("value", "")
    return value.replace("$$", "$")
