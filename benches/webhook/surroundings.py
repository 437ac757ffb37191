"""What the webhook needs around it to run as it does in a cluster: its Secret, namespaces, an owner of pods."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml

from benches.processes import OUTPUT, ROOT
from benches.progress import BenchError
from benches.webhook.reviews import Owner
from injector import pki
from injector.inject.names import ENABLED, INJECT, SYSTEM_NAMESPACE
from injector.kube.resources import DEPLOYMENTS, NAMESPACES, REPLICA_SETS, SECRETS

if TYPE_CHECKING:
    from pathlib import Path

    from injector.kube.client import KubeClient

NAMESPACE = "shop"
FILES = OUTPUT / "webhook"
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Files:
    """What servers and clients read."""

    ca: Path
    certificate: Path
    key: Path
    installation: Path


def write_files() -> Files:
    """A certificate as the controller makes them, and the installation's settings as shipped."""
    FILES.mkdir(parents=True, exist_ok=True)
    files = Files(*(FILES / name for name in ("ca.crt", "tls.crt", "tls.key", "installation.yaml")))
    now = datetime.now(UTC)
    authority = pki.make_authority(now, timedelta(days=1))
    pair = pki.issue(authority, ["localhost"], now, timedelta(days=1))
    files.ca.write_bytes(authority.certificate.pem)
    files.certificate.write_bytes(pair.certificate.pem)
    files.key.write_bytes(pair.key)
    shipped = yaml.safe_load((ROOT / "manifests" / "configmap.yaml").read_text())
    files.installation.write_text(shipped["data"]["installation.yaml"])
    return files


async def prepare(kube: KubeClient, files: Files) -> Owner:
    """Make the objects; the ReplicaSet of a Deployment without replicas is what the reviewed pods belong to."""
    await kube.create(NAMESPACES, _named("v1", "Namespace", SYSTEM_NAMESPACE))
    words = {INJECT: ENABLED}
    await kube.create(NAMESPACES, _named("v1", "Namespace", NAMESPACE, labels=words, annotations=words))
    secret = _named("v1", "Secret", "injector-webhook-tls") | {
        "type": "kubernetes.io/tls",
        "data": {
            name: base64.b64encode(file.read_bytes()).decode()
            for name, file in (("ca.crt", files.ca), ("tls.crt", files.certificate), ("tls.key", files.key))
        },
    }
    await kube.create(SECRETS, secret, namespace=SYSTEM_NAMESPACE)
    labels = {"app": "orders"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "orders", "image": "none"}]}}
    deployment = _named("apps/v1", "Deployment", "orders") | {
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    }
    await kube.create(DEPLOYMENTS, deployment, namespace=NAMESPACE)
    return await _owner(kube)


async def _owner(kube: KubeClient) -> Owner:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _PATIENCE_SECONDS
    while loop.time() < give_up:
        async for found in kube.list(REPLICA_SETS, namespace=NAMESPACE):
            return Owner(found["metadata"]["name"], found["metadata"]["uid"])
        await asyncio.sleep(0.1)
    raise BenchError("the Deployment got no ReplicaSet: does the controller manager run?")


def _named(api_version: str, kind: str, name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}
