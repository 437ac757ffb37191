"""What a pod's proxy says of itself: its certificate, its readiness, its end."""

import re
from typing import Final

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import processes
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, container_status

READY: Final = re.compile(r" ready .*\bmilliseconds=([0-9.]+)")


def certificate_end(pod: Pod) -> float:
    """When its certificate ends, in seconds since 1970."""
    return pod.metrics().total("certificate_not_after_seconds")


def failed_renewals(pod: Pod) -> float:
    """How often it asked for a certificate in vain."""
    seen = pod.metrics()
    return seen.total("certificate_renewals_total") - seen.total("certificate_renewals_total", result="renewed")


def plaintext(pod: Pod, direction: str, reason: str = "") -> float:
    """Connections that it carried without encryption, for this reason or for whatever one."""
    chosen = {"reason": reason} if reason else {}
    return pod.metrics().total("tcp_plaintext_total", direction=direction, **chosen)


def refused(pod: Pod, direction: str, *reasons: str) -> float:
    """Connections that it did not carry, for any of these reasons."""
    seen = pod.metrics()
    return sum(seen.total("tcp_refused_total", direction=direction, reason=reason) for reason in reasons)


def ready_milliseconds(pod: Pod) -> float | None:
    """From the start of its process until it was ready, as it says itself; None while it is not."""
    found = READY.search(pod.logs(PROXY_CONTAINER))
    return float(found[1]) if found else None


def kill(cluster: Cluster, pod: Pod) -> None:
    """Kill its process, as a machine short of memory would, and wait until the next one is ready."""
    before = container_status(pod.object, PROXY_CONTAINER)["restartCount"]
    assert processes.kill([processes.pod_cgroup(cluster, pod.object)], [PROXY_CONTAINER]) == 1

    def again(now: Json) -> bool:
        status = container_status(now, PROXY_CONTAINER)
        return bool(status.get("restartCount", 0) > before and status.get("ready"))

    pod.wait(again, "the sidecar is restarted, and ready")
