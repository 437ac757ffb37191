"""Work that ends, ends with a sidecar too."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from injector.inject.names import DISABLED, INJECT, PROXY_CONTAINER
from tests.cluster.support import pods
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import START_SECONDS, Pod, Sandbox, container_status

AT_MOST: Final = timedelta(seconds=1)
"""From the end of the main container to the end of the sidecar, and with it of the pod, beyond what the kubelet takes
to notice the first: it looks once a second (its generic PLEG's relisting), and later on a busy node."""

JOBS: Final = 3


def _complete(job: Json) -> bool:
    return bool(job.get("status", {}).get("succeeded") == 1)


def _last_word(pod: Pod, container: str) -> datetime:
    """When a container wrote its last line, by the runtime's clock (the status knows whole seconds only)."""
    last = pod.logs(container, timestamps=True).splitlines()[-1]
    written = last.split(" ", 1)[0].rstrip("Z")
    return datetime.fromisoformat(written[: len("2026-01-01T00:00:00.000000")])


def _job(name: str, number: int, *sidecars: Json, annotations: Mapping[str, str] | None = None) -> Json:
    """A Job that ends after a second and a bit, not all at the same moment of the kubelet's second."""
    work = pods.container(args=["sleep", f"{1000 + 300 * number}ms"])
    spec = pods.spec(work, initContainers=list(sidecars))
    return pods.workload("Job", f"{name}-{number}", spec, annotations=annotations)


def test_a_jobs_pod_ends_within_a_second_of_its_main_container(meshed: Sandbox) -> None:
    """Compared with a native sidecar that exits on the instant, at the same time on the same nodes."""
    instant = pods.container("instant", restartPolicy="Always")
    for number in range(JOBS):
        meshed.create(_job("meshed", number))
        meshed.create(_job("other", number, instant, annotations={INJECT: DISABLED}))
    for name in (f"{kind}-{number}" for kind in ("meshed", "other") for number in range(JOBS)):
        meshed.api.wait("Job", name, meshed.name, _complete, seconds=START_SECONDS, what="complete")

    took: dict[str, list[timedelta]] = {PROXY_CONTAINER: [], "instant": []}
    for each in meshed.api.list("Pod", meshed.name):
        pod = Pod(meshed, each["metadata"]["name"])
        sidecar = PROXY_CONTAINER if pod.meshed else "instant"
        assert container_status(each, sidecar)["state"]["terminated"]["exitCode"] == 0
        took[sidecar].append(_last_word(pod, sidecar) - _last_word(pod, pods.APP))
    assert [len(times) for times in took.values()] == [JOBS, JOBS]
    assert all(time > timedelta(0) for times in took.values() for time in times), took
    assert max(took[PROXY_CONTAINER]) - max(took["instant"]) < AT_MOST, took
