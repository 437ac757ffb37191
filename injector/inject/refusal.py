"""Why a pod is refused: a closed set of reasons, each with a message to its author."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from injector.inject.decision import all_containers
from injector.inject.model import Json
from injector.inject.names import DISABLED, INJECT, PROXY_PORTS, VOLUMES
from injector.inject.probes import targets
from injector.inject.shape import AND_MORE, MOST_FAULTS

MOST_MESSAGE: Final = 640
"""Characters of one fault's message: three times the longest that well-formed names of 63 characters lead to."""

MAX_PROBES_BYTES: Final = 96 * 1024
"""They travel in one environment variable, which Linux limits to 128 KiB (MAX_ARG_STRLEN); the rest is reserve."""


class RefusalReason(StrEnum):
    """The slug is the same in metric, log, command line and test."""

    MALFORMED_POD = "malformed-pod"
    BAD_VALUE = "bad-value"
    PORT_COLLISION = "port-collision"
    UID_COLLISION = "uid-collision"
    PROBES_TOO_LARGE = "probes-too-large"
    VOLUME_MOUNTED_ELSEWHERE = "volume-mounted-elsewhere"
    COUNTERFEIT_CONTAINER = "counterfeit-container"
    COUNTERFEIT_VOLUME = "counterfeit-volume"
    OUT_OF_PLACE = "out-of-place"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a pod, and the sentence that says so."""

    reason: RefusalReason
    message: str


def listed(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The first faults, each of bounded length: what is kept and told of a pod must not grow with the pod."""
    rest = iter(faults)
    first = tuple(Fault(fault.reason, _short(fault.message)) for fault in islice(rest, MOST_FAULTS))
    return first if next(rest, None) is None else (*first, Fault(first[-1].reason, AND_MORE))


def _short(message: str) -> str:
    return message if len(message) <= MOST_MESSAGE else message[:MOST_MESSAGE] + "…"


def collisions(spec: Json, proxy_uid: int, declared: str) -> Iterator[Fault]:
    """Everything in a pod's own part that cannot stand beside a proxy; `declared` are its probes, encoded."""
    yield from _oversized_probes(declared)
    yield from _port_collisions(spec)
    yield from _uid_collisions(spec, proxy_uid)
    yield from _volume_thefts(spec)


def out_of_place(why: str) -> Fault:
    """For a pod that has our containers, and must not: injected once, and then given what does not go with them."""
    return Fault(
        RefusalReason.OUT_OF_PLACE,
        f"the mesh's containers cannot stay in this pod, for {why}; run `injector uninject` on its manifest, and "
        f"annotate it {INJECT}: {DISABLED}",
    )


def _port_collisions(spec: Json) -> Iterator[Fault]:
    taken = ", ".join(map(str, sorted(PROXY_PORTS)))
    for container in all_containers(spec):
        for port in container.get("ports") or ():
            if port["containerPort"] in PROXY_PORTS and (port.get("protocol") or "TCP") == "TCP":
                yield Fault(
                    RefusalReason.PORT_COLLISION,
                    f"container {container.get('name')!r} listens on port {port['containerPort']}, "
                    f"which is the proxy's (its ports: {taken}); choose another",
                )
    for container_name, field, number in targets(spec):
        if number in PROXY_PORTS:
            yield Fault(
                RefusalReason.PORT_COLLISION,
                f"container {container_name!r}: its {field} asks port {number}, which is the proxy's "
                f"(its ports: {taken}), not the application's",
            )


def _oversized_probes(declared: str) -> Iterator[Fault]:
    size = len(declared.encode(errors="surrogatepass"))
    if size > MAX_PROBES_BYTES:
        yield Fault(
            RefusalReason.PROBES_TOO_LARGE,
            f"the pod's probes and hooks take {size} bytes as JSON, and at most {MAX_PROBES_BYTES} can be handed "
            "to the proxy; shorten their headers and paths",
        )


def _uid_collisions(spec: Json, proxy_uid: int) -> Iterator[Fault]:
    pod_user = (spec.get("securityContext") or {}).get("runAsUser")
    for container in all_containers(spec):
        user = (container.get("securityContext") or {}).get("runAsUser")
        if (pod_user if user is None else user) == proxy_uid:
            yield Fault(
                RefusalReason.UID_COLLISION,
                f"container {container.get('name')!r} runs as user {proxy_uid}, which is the proxy's: its connections "
                "would bypass the mesh and it could read the proxy's key; choose another runAsUser",
            )


def _volume_thefts(spec: Json) -> Iterator[Fault]:
    for container in (*all_containers(spec), *(spec.get("ephemeralContainers") or ())):
        for mount in container.get("volumeMounts") or ():
            if mount["name"] in VOLUMES:
                yield Fault(
                    RefusalReason.VOLUME_MOUNTED_ELSEWHERE,
                    f"container {container.get('name')!r} mounts volume {mount['name']!r}, which holds the proxy's "
                    "identity and is the proxy's alone; remove the mount",
                )
