"""A second mutating webhook that changes pods before us and after us: the result is right, and the same each time."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from injector.inject.uninject import uninject
from injector.pki import issue, make_authority
from tests.cluster.admission.compare import normal
from tests.cluster.reinvocation import meddler
from tests.cluster.support import leftovers, pods
from tests.cluster.support import mesh as meshes
from tests.cluster.support.api import Api
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.waiting import eventually

PORT: Final = 8443
LABEL: Final = "injector.mesh-tests/meddled"
ORDERS: Final = {"a-meddler": "before ours", "z-meddler": "after ours"}
"""The API server calls webhooks in the order of their configurations' names; ours is "injector"."""


@pytest.fixture(scope="module")
def server(mesh: Mesh) -> Iterator[tuple[Sandbox, bytes]]:
    """The other webhook, in a pod outside the mesh, and the CA that vouches for it."""
    sandbox = Sandbox(mesh.cluster, mesh.api, "meddler")
    now = datetime.now(UTC)
    authority = make_authority(now, timedelta(days=1))
    leaf = issue(authority, [f"meddler.{sandbox.name}.svc"], now, timedelta(days=1))
    image = next(name for name in meshes.image_names() if "/controller" in name)
    program, pair = Path(meddler.__file__).read_text(), (leaf.key + leaf.certificate.pem).decode()
    container = {
        "name": pods.APP,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", program],
        "env": [{"name": "PAIR", "value": pair}, {"name": "PORT", "value": str(PORT)}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]
    service = pods.service("meddler")
    service["spec"]["ports"] = [{"port": 443, "targetPort": PORT}]
    try:
        sandbox.open(meshed=False)
        sandbox.create(service)
        sandbox.start(pods.pod("meddler", pods.spec(container, volumes=volumes)))
        yield sandbox, authority.certificate.pem
    finally:
        sandbox.remove()


@pytest.fixture(params=ORDERS, ids=ORDERS.get)
def meddled(
    request: pytest.FixtureRequest, api: Api, server: tuple[Sandbox, bytes], meshed: Sandbox
) -> Iterator[Sandbox]:
    """An opted-in namespace whose pods the other webhook changes as well."""
    where, authority = server
    name = f"{request.param}-{meshed.name}"
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {leftovers.LABEL: leftovers.owner()}},
        "webhooks": [
            {
                "name": "meddler.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": meshed.name}},
                "objectSelector": {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                "clientConfig": {
                    "caBundle": base64.b64encode(authority).decode(),
                    "service": {"namespace": where.name, "name": "meddler", "path": "/"},
                },
            }
        ],
    }
    api.create(body)
    try:
        # The API server learns of a new configuration and of the Service's endpoints when it comes to it.
        eventually(lambda: _meddles(meshed), bool, seconds=60, what="the other webhook is called")
        yield meshed
    finally:
        api.delete("MutatingWebhookConfiguration", name)


def _meddles(sandbox: Sandbox) -> bool:
    made = sandbox.api.create(pod("env"), sandbox.name, dry_run=True).object
    return any(entry["name"] == "MEDDLED" for entry in made["spec"]["containers"][0].get("env", []))


def pod(*habits: str) -> Json:
    """A pod that the other webhook treats in these ways (reinvocation/meddler.py)."""
    probed = pods.container(livenessProbe={"httpGet": {"path": "/health", "port": pods.HTTP}})
    made = pods.pod("web", pods.spec(probed, initContainers=[{"name": "own", "image": "app"}]))
    made["metadata"]["annotations"] = {"meddle": json.dumps(habits)}
    made["metadata"]["labels"][LABEL] = "yes"
    return made


HABITS: Final = {
    "puts its init container first": ("init-first",),
    "reverses all init containers": ("reverse",),
    "adds a container with a probe": ("probed-container",),
    "adds a variable to every container": ("env",),
    "does all of that": ("init-first", "reverse", "probed-container", "env"),
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
def test_whatever_the_other_webhook_does_the_pod_is_right(meddled: Sandbox, habits: tuple[str, ...]) -> None:
    made = meddled.api.create(pod(*habits), meddled.name, dry_run=True).object
    spec = made["spec"]
    names = [container["name"] for container in spec["initContainers"]]
    assert names[:2] == ["injector-init", "injector-proxy"]
    assert len(names) == len(set(names))
    for ours in spec["initContainers"][:2]:
        assert "MEDDLED" not in [entry["name"] for entry in ours["env"]]

    for container in spec["containers"]:
        for probe in (container[field] for field in ("livenessProbe", "startupProbe") if field in container):
            assert probe["httpGet"]["path"].startswith(f"/probes/{container['name']}/"), "the kubelet asks our proxy"
    others = {"own", *(["meddled-init"] if "init-first" in habits else [])}
    assert set(names[2:]) == others
    assert ("meddled" in [container["name"] for container in spec["containers"]]) == ("probed-container" in habits)

    bare = uninject(made)["spec"]
    assert "injector" not in json.dumps([container["name"] for container in bare["initContainers"]])
    again = meddled.api.create(pod(*habits), meddled.name, dry_run=True).object
    assert normal(again["spec"]) == normal(spec)
