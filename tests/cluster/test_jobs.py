"""Work that ends, ends with a sidecar too."""

from datetime import UTC, datetime, timedelta
from typing import Final

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import pods
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, Sandbox

AT_MOST: Final = timedelta(seconds=1)
"""From the end of the main container to the end of the sidecar, and with it of the pod."""

MINUTELY: Final = "* * * * *"


def _succeeded(pod: Json) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def _last_word(pod: Pod, container: str) -> datetime:
    """When a container wrote its last line, by the runtime's clock (the status knows whole seconds only)."""
    last = pod.logs(container, timestamps=True).splitlines()[-1]
    written = last.split(" ", 1)[0].rstrip("Z")
    return datetime.fromisoformat(written[: len("2026-01-01T00:00:00.000000")]).replace(tzinfo=UTC)


def _ended(pod: Pod, container: str) -> datetime:
    return datetime.fromisoformat(pod.status_of(container)["state"]["terminated"]["finishedAt"])


def test_a_jobs_pod_ends_within_a_second_of_its_main_container(meshed: Sandbox) -> None:
    meshed.create(pods.workload("Job", "work", pods.spec(pods.container(args=["sleep", "1s"]))))
    (name,) = {
        pod["metadata"]["name"]
        for _, pod in zip(
            range(1), (each for _, each in meshed.api.watch("Pod", meshed.name, seconds=30)), strict=False
        )
    }
    pod = Pod(meshed, name)

    pod.wait(_succeeded, "Succeeded")

    assert pod.meshed
    assert timedelta(0) < _last_word(pod, PROXY_CONTAINER) - _last_word(pod, pods.APP) < AT_MOST
    assert _ended(pod, PROXY_CONTAINER) - _ended(pod, pods.APP) <= AT_MOST
    assert pod.status_of(PROXY_CONTAINER)["state"]["terminated"]["exitCode"] == 0
    meshed.api.wait(
        "Job", "work", meshed.name, lambda job: job["status"].get("succeeded") == 1, seconds=30, what="done"
    )


def test_a_cronjobs_pods_are_meshed_and_known_by_its_name(meshed: Sandbox) -> None:
    # Already a minute late when it is made, so that the controller starts it now (Kubernetes: lastScheduleTime).
    body = pods.workload("CronJob", "nightly", pods.spec(), schedule=MINUTELY)
    meshed.create(body)
    late = datetime.now(UTC) - timedelta(minutes=2)
    change = {"status": {"lastScheduleTime": late.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    meshed.api.patch("CronJob", "nightly", change, meshed.name, subresource="status")

    pod = meshed.wait_pods("nightly", 1)[0]

    assert pod.meshed
    info = pod.metrics().labels("info")
    assert (info["workload_kind"], info["workload"]) == ("CronJob", "nightly")
