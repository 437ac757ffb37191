"""How long a proxy takes from the start of its process until it is ready, its certificate included."""

from typing import Final

import pytest

from tests.cluster.support import pods, proxies
from tests.cluster.support.api import Api
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Sandbox

PODS: Final = 100
WAVE: Final = 4
"""Pods that start at the same time, as a rolling update of 16 brings them. On two cores 100 at once only measure the
line that they stand in (p50 0.3 s, p99 1 s)."""
AIM_MILLISECONDS: Final = 200
BOUND_MILLISECONDS: Final = 2000.0
"""Not the aim: that is for a machine which does nothing else."""


@pytest.mark.timeout(400, func_only=True)
def test_100_proxies_are_ready_soon_after_their_start(api: Api, meshed: Sandbox) -> None:
    spec = pods.spec(pods.container(args=["sleep", "1h"]), terminationGracePeriodSeconds=0)
    with step(f"{PODS} pods, {WAVE} at a time"):
        meshed.create(pods.workload("Deployment", "many", spec, replicas=WAVE))
        for count in range(WAVE, PODS + 1, WAVE):
            api.patch("Deployment", "many", {"spec": {"replicas": count}}, meshed.name)
            found = meshed.wait_pods("many", count)

    took = sorted(milliseconds for pod in found if (milliseconds := proxies.ready_milliseconds(pod)) is not None)

    assert len(took) == PODS
    p50, p99 = took[PODS // 2], took[PODS * 99 // 100 - 1]
    say(f"  from start to ready: p50 {p50:.0f} ms, p99 {p99:.0f} ms (aim: {AIM_MILLISECONDS} ms)")
    assert p99 < BOUND_MILLISECONDS
