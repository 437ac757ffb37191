"""What a pod belongs to: by its sidecar, by its owner, by the names that Kubernetes gives."""

from __future__ import annotations

from typing import Any

import pytest

from injector.discovery import workloads
from injector.discovery.records import project_pod
from injector.discovery.workloads import LONGEST_KIND, LONGEST_NAME, workload
from injector.inject import sidecar
from injector.inject.model import Workload
from injector.inject.settings import resolve
from tests.discovery.objects import endpoint, endpoint_slice, pod, service
from tests.discovery.test_index import Cluster
from tests.inject.objects import INSTALLATION

WEB = ("Deployment", "web")


def unmeshed(kind: str, name: str, template: str = "") -> dict[str, Any]:
    return pod(meshed=False, owner=(kind, name), template=template)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            pod(workload=WEB, owner=("ReplicaSet", "web-5d9c7"), template="5d9c7"),
            WEB,
        ),
        (pod(workload=("Rollout", "web"), owner=("ReplicaSet", "web-5d9c7")), ("Rollout", "web")),
        (pod(workload=("CronJob", "backup"), owner=("Job", "backup-29000000")), ("CronJob", "backup")),
        (pod(workload=("Pod", "web-")), ("Pod", "web-a")),
        (pod(owner=("StatefulSet", "db")), ("StatefulSet", "db")),
        (pod(meshed=False), ("Pod", "web-a")),
        (unmeshed("StatefulSet", "db"), ("StatefulSet", "db")),
        (unmeshed("DaemonSet", "agent"), ("DaemonSet", "agent")),
        (unmeshed("ReplicaSet", "web-5d9c7", "5d9c7"), WEB),
        (unmeshed("ReplicaSet", "my-web-5d9c7", "5d9c7"), ("Deployment", "my-web")),
        (unmeshed("ReplicaSet", "web-5d9c7"), ("ReplicaSet", "web-5d9c7")),
        (unmeshed("ReplicaSet", "web", "5d9c7"), ("ReplicaSet", "web")),
        (unmeshed("Job", "backup-29000000"), ("CronJob", "backup")),
        (unmeshed("Job", "move-20260131"), ("Job", "move-20260131")),
        (unmeshed("Job", "move-5"), ("Job", "move-5")),
        (unmeshed("Job", "29000000"), ("Job", "29000000")),
        (unmeshed("Thing", "of-somebody"), ("Thing", "of-somebody")),
    ],
)
def test_a_person_would_name(item: dict[str, Any], expected: tuple[str, str]) -> None:
    assert workload(item) == Workload(*expected)


@pytest.mark.parametrize(
    "owner",
    [("", "web"), ("Deployment", ""), ("K" * (LONGEST_KIND + 1), "web"), ("Deployment", "w" * (LONGEST_NAME + 1))],
)
def test_what_no_object_can_be_called_is_not_told(owner: tuple[str, str]) -> None:
    before = workloads._shared.cache_info().currsize
    assert workload(pod(meshed=False, owner=owner)) is None
    assert workloads._shared.cache_info().currsize == before


def test_the_sidecar_says_it_where_admission_writes_it() -> None:
    rollout = Workload("Rollout", "web")  # which no name tells
    container = sidecar.proxy_container({"containers": []}, resolve({}, {}, {}).settings, INSTALLATION, rollout, "")
    assert workload({"metadata": {"name": "web-a"}, "spec": {"initContainers": [container]}}) == rollout


def test_pods_of_a_workload_share_its_name() -> None:
    first, second = (project_pod(pod(name, workload=("Deployment", "w" + "eb"))) for name in ("web-a", "web-b"))
    assert first is not None
    assert second is not None
    assert first.workload is second.workload


def test_an_endpoint_has_a_workload_where_it_has_a_pod() -> None:
    entries = [endpoint("10.244.0.5", pod="web-a"), endpoint("10.244.0.6"), endpoint("198.51.100.1")]
    plain = pod("web-b", ips=("10.244.0.6",), meshed=False, owner=("DaemonSet", "agent"))
    cluster = Cluster(service(), pod(workload=WEB), plain, endpoint_slice(*entries))
    found = {address: one.workload for address, one in cluster.endpoints().items()}
    assert found == {
        "10.244.0.5:8080": Workload(*WEB),
        "10.244.0.6:8080": Workload("DaemonSet", "agent"),
        "198.51.100.1:8080": None,
    }
    assert [one.workload for one in cluster.endpoints("10.244.0.5").values()] == [Workload(*WEB)]


def test_a_pod_on_its_nodes_network_is_nobodys_endpoint() -> None:
    record = project_pod(pod(host_network=True, meshed=False, owner=("DaemonSet", "agent")))
    assert record is not None
    assert record.workload is None
