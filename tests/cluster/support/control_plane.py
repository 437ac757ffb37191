"""The mesh's own parts: stopped, started again, given other arguments, and asked what they count."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support.api import Api
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.webhook import replicas

WEBHOOK: Final = "injector-webhook"
CONTROLLER: Final = "injector-controller"
IDENTITY: Final = "injector-identity"
DISCOVERY: Final = "injector-discovery"
PARTS: Final = (WEBHOOK, CONTROLLER, IDENTITY, DISCOVERY)

REPLICAS: Final = 2
END_SECONDS: Final = 60.0
LOG_LINES: Final = "5000"


def scale(api: Api, count: int, *parts: str) -> None:
    """Set how many replicas these parts have; 0 also waits until the last one is gone."""
    for part in parts:
        api.patch("Deployment", part, {"spec": {"replicas": count}}, SYSTEM_NAMESPACE)
    if count == 0:
        for part in parts:
            for pod in api.list("Pod", SYSTEM_NAMESPACE, labels=f"app.kubernetes.io/name={part}"):
                # All but killed: what is to be shown is life without them, not their polite end. (With 0 they would be
                # forgotten at once, and live on for some seconds.)
                api.delete("Pod", pod["metadata"]["name"], SYSTEM_NAMESPACE, grace_seconds=1)
            for pod in api.list("Pod", SYSTEM_NAMESPACE, labels=f"app.kubernetes.io/name={part}"):
                api.wait_gone("Pod", pod["metadata"]["name"], SYSTEM_NAMESPACE, seconds=END_SECONDS)


@contextmanager
def restored(mesh: Mesh) -> Iterator[None]:
    """Whatever the block does to the mesh's parts, afterwards they are as they are installed, and ready."""
    try:
        yield
    finally:
        mesh.install()
        scale(mesh.api, REPLICAS, *PARTS)
        mesh.wait_ready()


def add_arguments(mesh: Mesh, part: str, *arguments: str) -> None:
    """Have a part's first container run with these arguments after its own, and wait until it does."""
    found = mesh.api.get("Deployment", part, SYSTEM_NAMESPACE)
    words = [*found["spec"]["template"]["spec"]["containers"][0]["args"], *arguments]
    operation = {"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": words}
    mesh.api.patch("Deployment", part, [operation], SYSTEM_NAMESPACE)
    mesh.wait_ready()


def logs(api: Api, part: str) -> str:
    """What the running replicas of a part have written, one after the other."""
    names = (pod["metadata"]["name"] for pod in replicas(api, part))
    urls = (f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{name}/log" for name in names)
    return "".join(api.text(url, tailLines=LOG_LINES) for url in urls)
