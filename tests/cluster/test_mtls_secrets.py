"""Keys and tokens are nowhere but in memory: not on a disk, in a log, in an object or in a core dump, and not before
the eyes of another container of the pod."""

import base64
import json
import signal
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from injector.inject.names import (
    IDENTITY_MOUNT,
    IDENTITY_VOLUME,
    INIT_CONTAINER,
    PROXY_CONTAINER,
    SYSTEM_NAMESPACE,
    TOKEN_MOUNT,
    TOKEN_VOLUME,
)
from tests.cluster.support import pods, processes
from tests.cluster.support.api import Api
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say
from tests.cluster.support.sandbox import Pod, Sandbox, container_status
from tests.cluster.wire import disk

KEY_SECRETS: Final = {"injector-identity-root": "root.key", "injector-identity-issuer": "tls.key"}
KEY_FILE: Final = "identity.der"
"""The key (PKCS 8), and then its chain."""
STRANGER_UID: Final = 10001


def volume(cluster: Cluster, pod: Json, kind: str, name: str) -> Path:
    """Where the kubelet keeps a pod's volume."""
    assert cluster.ours is not None, "reading a pod's volumes needs a cluster started by scripts/cluster"
    home = cluster.ours.state / str(pod["spec"]["nodeName"])
    return home / "kubelet" / "pods" / str(pod["metadata"]["uid"]) / "volumes" / f"kubernetes.io~{kind}" / name


def first_of(der: bytes) -> bytes:
    """The first of several DER elements, each of some hundred bytes: a tag, 0x82 and a length of two bytes, or 0x81 and
    one of one (X.690, 8.1.3.5)."""
    size = {0x81: 1, 0x82: 2}[der[1]]
    return der[: 2 + size + int.from_bytes(der[2 : 2 + size], "big")]


def spellings(private: PrivateKeyTypes) -> list[bytes]:
    """The ways in which a private key may stand somewhere: its secret number raw and in hexadecimal, a line of the PEM
    form, and what base64 makes of that whole form, as in a Secret's JSON."""
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    number = private.private_numbers().private_value.to_bytes(32, "big")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = private.private_bytes(*form)
    return [number, number.hex().encode(), pem.splitlines()[1], base64.b64encode(pem)[40:140]]


@pytest.mark.timeout(600, func_only=True)
def test_no_secret_is_written_down(mesh: Mesh, api: Api, meshed: Sandbox) -> None:
    # Its processes have a parent in the pod: a container's first process would not even be told of the signal below.
    (pod,) = meshed.start(pods.pod("secretive", pods.spec(shareProcessNamespace=True)))
    kept = (volume(mesh.cluster, pod.object, "empty-dir", IDENTITY_VOLUME) / KEY_FILE).read_bytes()
    key = serialization.load_der_private_key(first_of(kept), password=None)
    token = (volume(mesh.cluster, pod.object, "projected", TOKEN_VOLUME) / "token").read_bytes().strip()
    secrets = {name: api.get("Secret", name, SYSTEM_NAMESPACE) for name in KEY_SECRETS}
    control_plane = {
        name: spellings(serialization.load_pem_private_key(base64.b64decode(secrets[name]["data"][field]), None))
        for name, field in KEY_SECRETS.items()
    }
    of_pod = {"the pod's key": spellings(key), "the pod's token": [token.rpartition(b".")[2], base64.b64encode(token)]}
    die_badly(mesh.cluster, pod)

    oldest = min(secret["metadata"]["creationTimestamp"] for secret in secrets.values())
    found = disk.containing(mesh.cluster, control_plane | of_pod, since=datetime.fromisoformat(oldest).timestamp())
    objects = "".join(json.dumps(api.list(kind)) for kind in ("Pod", "ConfigMap", "Event", "Deployment"))

    say(f"  {found.files} files of {found.size >> 20} MiB were read")
    for name, where in found.where.items():
        in_etcd = [file for file in where if file.startswith("etcd/")]
        assert [file for file in where if file not in in_etcd] == [], name
        # Secrets are kept there by Kubernetes: what must be found shows that what is not found is not there.
        assert bool(in_etcd) == (name in KEY_SECRETS), name
    for name, forms in (control_plane | of_pod).items():
        assert not any(form.decode("latin-1") in objects for form in forms), f"{name} stands in an object"


def die_badly(cluster: Cluster, pod: Pod) -> None:
    """Have its proxy dump core, were that allowed."""
    cgroup = processes.pod_cgroup(cluster, pod.object)
    (pid,) = processes.running(cgroup, [PROXY_CONTAINER])
    limits = Path(f"/proc/{pid}/limits").read_text()
    (core,) = (line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"], "neither the soft nor the hard limit lets anything be written"
    processes.kill([cgroup], [PROXY_CONTAINER], signal.SIGABRT)
    ended = pod.wait(_proxy_restarted, "the sidecar is restarted")
    assert container_status(ended, PROXY_CONTAINER)["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGABRT


def _proxy_restarted(pod: Json) -> bool:
    return bool(container_status(pod, PROXY_CONTAINER).get("restartCount", 0) == 1)


def test_neighbours_in_the_pod_read_neither_key_nor_token(meshed: Sandbox) -> None:
    """The three share one process namespace, and so see each other's roots as far as the kernel lets them."""
    stranger = {"runAsUser": STRANGER_UID, "runAsGroup": STRANGER_UID}
    privileged = {"capabilities": {"add": ["SYS_PTRACE"]}}
    spec = pods.spec(
        pods.container(),  # root, with a container's usual capabilities
        pods.container("stranger", args=["sleep", "1h"], securityContext=stranger),
        pods.container("tracer", args=["sleep", "1h"], securityContext=privileged),
        shareProcessNamespace=True,
    )
    (pod,) = meshed.start(pods.pod("shared", spec))
    pid = pod.app_json("process", PROXY_CONTAINER)["pid"]
    files = [f"/proc/{pid}/root{place}" for place in (f"{IDENTITY_MOUNT}/{KEY_FILE}", f"{TOKEN_MOUNT}/token")]

    for file in files:
        for container in (pods.APP, "stranger"):
            assert "permission denied" in pod.app_fails("print", file, container=container).lower()
        # Whom Kubernetes lets trace others may see what they have: the two above fail for want of that alone.
        folder, _, name = file.rpartition("/")
        assert name in pod.app_json("files", folder, container="tracer")


def test_the_key_lies_in_memory_and_is_its_owners_alone(mesh: Mesh, meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("kept"))
    folder = volume(mesh.cluster, pod.object, "empty-dir", IDENTITY_VOLUME)

    key = folder / KEY_FILE

    assert key.stat().st_mode & 0o777 == 0o400
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    assert [mount[2] for mount in mounts if mount[1] == str(folder)] == ["tmpfs"]
    # The init container has the empty volume over the place of the API token, and is over before there is a key.
    mounted = {
        container["name"]
        for group in ("initContainers", "containers")
        for container in pod.object["spec"][group]
        if any(mount["name"] == IDENTITY_VOLUME for mount in container.get("volumeMounts", []))
    }
    assert mounted == {INIT_CONTAINER, PROXY_CONTAINER}
    assert "terminated" in pod.status_of(INIT_CONTAINER)["state"]
