"""The pods whose start is measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from injector.inject.names import DISABLED, ENABLED, INJECT

if TYPE_CHECKING:
    from collections.abc import Callable

Pod = dict[str, Any]

IMAGE = "docker.io/library/debian:bookworm-slim"
NO_OP_INIT, NO_OP_SIDECAR = "no-op-init", "no-op-sidecar"
# As PID 1, `sleep` has no handler for SIGTERM and would be waited for; the pods are deleted without grace anyway.
APPLICATION = ["sleep", "infinity"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A kind of pod: what it is called in tables, and how the plain pod becomes one."""

    name: str
    adorn: Callable[[Pod], None]


def build(variant: Variant, name: str, node: str) -> Pod:
    """A pod of that kind. Its node is given, so that the scheduler's share is the same small one for all."""
    application = {"name": "application", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": APPLICATION}
    pod: Pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {INJECT: DISABLED}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "containers": [application],
        },
    }
    variant.adorn(pod)
    return pod


def _plain(_: Pod) -> None:
    """As it is."""


def _meshed(pod: Pod) -> None:
    pod["metadata"]["annotations"][INJECT] = ENABLED


def _with_no_ops(**sidecar: Any) -> Callable[[Pod], None]:
    """An init container that ends at once and a native sidecar that sleeps, with more fields for the sidecar."""

    def adorn(pod: Pod) -> None:
        common = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
        init = {"name": NO_OP_INIT, **common, "command": ["true"]}
        beside = {"name": NO_OP_SIDECAR, **common, "command": APPLICATION, "restartPolicy": "Always", **sidecar}
        pod["spec"]["initContainers"] = [init, beside]

    return adorn


_TRUE = {"exec": {"command": ["true"]}}

UNMESHED = Variant("unmeshed", _plain)
NO_OPS = Variant("no-op init and sidecar", _with_no_ops())
MESHED = Variant("meshed", _meshed)
# What the two ways cost by themselves of keeping the application back until a sidecar is ready.
STARTUP_PROBE = Variant("no-ops, startupProbe of `true`", _with_no_ops(startupProbe={**_TRUE, "periodSeconds": 1}))
POST_START = Variant("no-ops, postStart of `true`", _with_no_ops(lifecycle={"postStart": _TRUE}))
ALL = (UNMESHED, NO_OPS, MESHED, STARTUP_PROBE, POST_START)
