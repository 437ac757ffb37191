"""Pods whose start is measured, and what is read from their watch."""

from typing import Any

from benches.start import pods
from benches.start.summary import summarise
from benches.start.trace import Trace
from injector.inject.names import DISABLED, ENABLED, INJECT


def _pod(conditions: list[str], containers: dict[str, str], init: dict[str, str] | None = None) -> dict[str, Any]:
    def statuses(states: dict[str, str]) -> list[dict[str, Any]]:
        return [{"name": name, "state": {state: {}}} for name, state in states.items()]

    return {
        "status": {
            "conditions": [{"type": condition, "status": "True"} for condition in conditions]
            + [{"type": "Initialized", "status": "False"}],
            "containerStatuses": statuses(containers),
            "initContainerStatuses": statuses(init or {}),
        }
    }


def test_only_the_meshed_variant_is_opted_in() -> None:
    words = {variant.name: pods.build(variant, "x", "n")["metadata"]["annotations"][INJECT] for variant in pods.ALL}
    assert words.pop(pods.MESHED.name) == ENABLED
    assert set(words.values()) == {DISABLED}


def test_variants_differ_in_nothing_but_what_they_are_about() -> None:
    plain = pods.build(pods.UNMESHED, "x", "n")
    for variant in (pods.NO_OPS, pods.STARTUP_PROBE, pods.POST_START):
        adorned = pods.build(variant, "x", "n")
        init, sidecar = adorned["spec"].pop("initContainers")
        assert adorned == plain
        assert "restartPolicy" not in init
        assert sidecar["restartPolicy"] == "Always"
        assert ("startupProbe" in sidecar) == (variant is pods.STARTUP_PROBE)
        assert ("lifecycle" in sidecar) == (variant is pods.POST_START)


def test_a_milestone_counts_when_it_is_first_told_of() -> None:
    trace = Trace(created=100.0)
    trace.see({"status": {}}, 100.1)
    assert trace.ready is None
    trace.see(_pod(["PodScheduled"], {"app": "waiting"}, {"proxy": "waiting"}), 100.2)
    trace.see(_pod(["PodScheduled"], {"app": "waiting"}, {"init": "terminated", "proxy": "running"}), 101.0)
    trace.see(_pod(["PodScheduled", "Ready"], {"app": "running"}, {"proxy": "running"}), 101.5)
    trace.see(_pod(["PodScheduled", "Ready"], {"app": "running"}, {"proxy": "running"}), 109.0)
    reached = {milestone: round(seconds, 3) for milestone, seconds in trace.reached.items()}
    assert reached == {"scheduled": 0.2, "init ended": 1.0, "proxy running": 1.0, "app running": 1.5, "ready": 1.5}
    assert list(reached)[-1] == "ready"


def test_the_aim_is_over_the_pod_with_no_ops() -> None:
    seconds = {
        pods.UNMESHED.name: [0.5, 0.6, 0.7],
        pods.NO_OPS.name: [1.2, 1.3, 1.4],
        pods.MESHED.name: [1.4, 1.5, 9.0],
    }
    found = {name: [Trace(0.0, {"scheduled": 0.1, "ready": each}) for each in times] for name, times in seconds.items()}
    report = summarise(found)
    (aim,) = report.aims
    assert round(aim.measured, 3) == 0.2
    assert aim.met
    assert report.tables[0].rows[2] == [pods.MESHED.name, "3", "1.5", "9", "+0.90"]
    assert report.tables[1].rows[0] == [pods.UNMESHED.name, "0.10", "", "", "", "", "0.60"]


def test_steps_of_all_variants_stand_below_each_other() -> None:
    reached = {"no-op-init ended": 1.0, "no-op-sidecar running": 1.1, "ready": 1.2}
    meshed = {"injector-init ended": 2.0, "injector-proxy running": 2.1, "ready": 2.2}
    found = {pods.UNMESHED.name: [Trace(0.0, {"ready": 0.5})]}
    found |= {pods.NO_OPS.name: [Trace(0.0, reached)], pods.MESHED.name: [Trace(0.0, meshed)]}
    rows = summarise(found).tables[1].rows
    assert rows[1][3:] == ["", "1.00", "1.10", "1.20"]
    assert rows[2][3:] == ["", "2.00", "2.10", "2.20"]
