"""The same links between pods of the cluster that `scripts/cluster` runs: two of its nodes, its network, its sidecars.

Servers, clients and peers' proxies run in the pods' network namespaces and not in their containers: all links have the
same programs then, and nobody's image is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.http.links import Surroundings
from benches.http.rows import INJECTOR, PORTS
from benches.namespaces import Pod, named
from benches.processes import Found
from benches.progress import BenchError
from benches.start import mesh, pods
from injector.inject.names import DISABLED, ENABLED, INJECT, PROXY_CONTAINER
from tests.cluster.kubernetes import cgroups
from tests.cluster.support.cluster import Cluster, find_or_start
from tests.cluster.support.processes import pod_cgroup, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.http.links import Link

_NAMESPACE = "injector-bench"
_READY = "--timeout=120s"
_DELETE_SECONDS = 120.0


class InCluster(Surroundings):
    """Pods of Kubernetes; the mesh of this checkout is installed first."""

    @cached_property
    def _cluster(self) -> Cluster:
        cluster = find_or_start()
        mesh.install()
        cluster.kubectl("delete", "namespace", _NAMESPACE, "--ignore-not-found", seconds=_DELETE_SECONDS)
        _apply(cluster, {"kind": "Namespace", "metadata": {"name": _NAMESPACE, "annotations": {INJECT: ENABLED}}})
        return cluster

    @contextlib.contextmanager
    def pair(self, name: str, _number: int) -> Iterator[tuple[Pod, Pod]]:
        """One on each node."""
        cluster = self._cluster
        nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
        names = [f"{name}-{end}" for end in ("client", "server")]
        for pod, node in zip(names, nodes, strict=False):
            _apply(cluster, _pod(pod, node["metadata"]["name"], meshed=name == INJECTOR))
        try:
            cluster.kubectl("-n", _NAMESPACE, "wait", "--for=condition=Ready", _READY, *(f"pod/{pod}" for pod in names))
            with contextlib.ExitStack() as stack:
                client, server = (stack.enter_context(self._entered(pod)) for pod in names)
                yield client, server
        finally:
            cluster.kubectl("-n", _NAMESPACE, "delete", "pod", *names, seconds=_DELETE_SECONDS)

    @contextlib.contextmanager
    def meshed(self, link: Link) -> Iterator[None]:
        """The sidecars that the webhook gave them, and a Service before the server's pod."""
        ports = [{"name": f"port-{port}", "port": port} for port in PORTS]
        service = {"selector": {"app": f"{INJECTOR}-server"}, "ports": ports}
        _apply(self._cluster, {"kind": "Service", "metadata": {"name": INJECTOR}, "spec": service})
        found = json.loads(self._cluster.kubectl("-n", _NAMESPACE, "get", "service", INJECTOR, "-o", "json"))
        link.targets.update({port: (found["spec"]["clusterIP"], port) for port in PORTS})
        for end in ("client", "server"):
            pid = self._process(f"{INJECTOR}-{end}", PROXY_CONTAINER)
            _as_others(pid)
            link.proxies.append(Found(f"the {end}'s sidecar", pid))
        yield

    @contextlib.contextmanager
    def _entered(self, pod: str) -> Iterator[Pod]:
        status = self._object(pod)["status"]
        with named(self._process(pod, *pods.APPLICATION), f"{_NAMESPACE}-{pod}") as namespace:
            yield Pod(namespace, str(status["podIP"]))

    def _process(self, pod: str, *words: str) -> int:
        found = list(running(pod_cgroup(self._cluster, self._object(pod)), words))
        if len(found) != 1:
            raise BenchError(f"expected one process {' '.join(words)} in pod {pod}, found {found}")
        return found[0]

    def _object(self, pod: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._cluster.kubectl("-n", _NAMESPACE, "get", "pod", pod, "-o", "json"))
        return found


def _apply(cluster: Cluster, body: dict[str, Any]) -> None:
    namespace = [] if body["kind"] == "Namespace" else ["-n", _NAMESPACE]
    cluster.kubectl(*namespace, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", **body}))


def _pod(name: str, node: str, *, meshed: bool) -> dict[str, Any]:
    pod = pods.build(pods.Variant(name, lambda _: None), name, node)
    pod["metadata"] |= {"labels": {"app": name}, "annotations": {INJECT: ENABLED if meshed else DISABLED}}
    return pod


def _as_others(pid: int) -> None:
    """Let a sidecar compete for the processor as everything else does that is measured.

    That is with our priority, and not with the least share, which Kubernetes leaves to a pod that asks for none.
    """
    tree = next((tree for tree in cgroups.trees() if "cpu" in tree.name.split(",")), cgroups.ROOT)
    (tree / "cgroup.procs").write_text(str(pid))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), os.getpriority(os.PRIO_PROCESS, 0))
