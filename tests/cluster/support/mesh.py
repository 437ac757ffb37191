"""The mesh as a user installs it: `injector install | kubectl apply -f -`, of this checkout's sources."""

import base64
import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from injector.inject.names import ENABLED, INJECT, SYSTEM_NAMESPACE
from tests.cluster.kubernetes import images
from tests.cluster.kubernetes.layout import FIRST
from tests.cluster.kubernetes.shell import run
from tests.cluster.support.api import Api
from tests.cluster.support.cluster import CHECKOUT, Cluster
from tests.cluster.support.kinds import Json
from tests.cluster.support.progress import run_visibly, step
from tests.cluster.support.waiting import eventually

REGISTRY_VARIABLE: Final = "INJECTOR_TEST_REGISTRY"
"""Where a given cluster pulls the images from; our own gets them by `scripts/images --load`."""

OTHER_TAG_VARIABLE: Final = "INJECTOR_TEST_OTHER_TAG"
"""With it: a tag that the images have there besides the version's."""
OTHER_TAG: Final = "0.0.9"

WEBHOOK_CONFIGURATION: Final = "injector"
BUILD_ANNOTATION: Final = "injector.mesh-tests/build"
READY_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Mesh:
    """A running installation."""

    cluster: Cluster
    api: Api

    def install(self, *options: str) -> None:
        """Apply what `injector install` prints."""
        self.cluster.kubectl("apply", "-f", "-", stdin=manifests(*options))

    def other_tag(self) -> str:
        """A tag that the images have besides the one that is installed: in our own cluster it is given to them here."""
        if self.cluster.ours is None:
            return os.environ[OTHER_TAG_VARIABLE]
        for name in image_names():
            for node in self.cluster.ours.existing_nodes():
                images.rename(self.cluster.ours, node, name, f"{name.rpartition(':')[0]}:{OTHER_TAG}")
        return OTHER_TAG

    def wait_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Watch until all Deployments run as they should, and the API server knows whom to trust at the webhook."""
        for name in deployments():
            self.api.wait("Deployment", name, SYSTEM_NAMESPACE, rolled_out, seconds=seconds, what="rolled out")
        self.api.wait(
            "MutatingWebhookConfiguration",
            WEBHOOK_CONFIGURATION,
            "",
            lambda found: all(has_bundle(entry) for entry in found["webhooks"]),
            seconds=seconds,
            what="every entry has a caBundle",
        )
        # A dry run of an opted-in namespace and pod goes all the way: the webhook answers over TLS that is trusted.
        eventually(self._answers, bool, seconds=seconds, what="the webhook answers the API server")

    def _answers(self) -> bool:
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"generateName": "injector-probe-", "annotations": {INJECT: ENABLED}},
        }
        labels = self.api.create(body, dry_run=True).object["metadata"].get("labels", {})
        return bool(labels.get(INJECT) == ENABLED)


def ensure(cluster: Cluster, api: Api) -> Mesh:
    """Have the mesh of these sources run; what is there already and is the same is left as it is."""
    mesh = Mesh(cluster, api)
    with _alone():
        build = _build_images(cluster)
        with step("injector install | kubectl apply -f -"):
            mesh.install()
            # The same tag may hold another build than the one that runs: the template's annotation tells them apart.
            change: Json = {"spec": {"template": {"metadata": {"annotations": {BUILD_ANNOTATION: build}}}}}
            for name in deployments():
                api.patch("Deployment", name, change, SYSTEM_NAMESPACE)
            mesh.wait_ready()
    return mesh


def manifests(*options: str) -> str:
    """What `injector install` prints for the cluster under test."""
    registry = os.environ.get(REGISTRY_VARIABLE)
    chosen = ["--registry", registry] if registry else []
    return run([Path(sys.executable).parent / "injector", "install", *chosen, *options])


@cache
def deployments() -> tuple[str, ...]:
    """The names of the mesh's own Deployments."""
    objects = (document for document in yaml.safe_load_all(manifests()) if document)
    return tuple(each["metadata"]["name"] for each in objects if each["kind"] == "Deployment")


def image_names() -> list[str]:
    """The images that the installation names."""
    return manifests("--list-images").split()


def has_bundle(entry: Json) -> bool:
    """Whether a webhook entry of a configuration trusts a certificate authority."""
    bundle = entry.get("clientConfig", {}).get("caBundle", "")
    return b"BEGIN CERTIFICATE" in base64.b64decode(bundle)


def rolled_out(deployment: Json) -> bool:
    """Whether all of its pods are of its newest template, and available."""
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return current and counts == [wanted] * 3


def _build_images(cluster: Cluster) -> str:
    """Build and load the images for our own cluster; a word that differs when any of them does."""
    if cluster.ours is None:
        return "given"
    with step("scripts/images --load proxy controller"):
        run_visibly(CHECKOUT / "scripts" / "images", "--load", "proxy", "controller")
    present = images.present(cluster.ours, FIRST)
    builds = [present[images.full_name(name)] for name in image_names()]
    return hashlib.sha256("".join(builds).encode()).hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """Let one run install at a time on this machine; the kernel frees the lock when we die."""
    with (Path(tempfile.gettempdir()) / "injector-tests-install.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
