"""What a pod belongs to, in the words of a person, from the pod alone.

Admission looked owners up and told the sidecar. For pods without one, the names that Kubernetes' own controllers give
say it: nothing else is read, so that no right to read ReplicaSets and Jobs is needed. Who writes pods may write there
what they like: it is a label to group by, never a reason to let somebody in.
"""

from __future__ import annotations

import re
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final

from injector.inject.model import Workload
from injector.inject.presence import env_value, proxy_container

if TYPE_CHECKING:
    from injector.inject.model import Json

KIND: Final = "INJECTOR_WORKLOAD_KIND"
NAME: Final = "INJECTOR_WORKLOAD_NAME"
TEMPLATE_HASH: Final = "pod-template-hash"
"""Label of a Deployment's pods; its ReplicaSets are named <deployment>-<hash> (apps/v1)."""

LONGEST_KIND: Final = 63
LONGEST_NAME: Final = 253
"""Characters of an object's name (DNS subdomain, RFC 1123); a kind is a DNS label. Whatever is longer is neither."""

_SCHEDULED: Final = re.compile(r"(.+)-([0-9]{8})")
"""A CronJob's Jobs are named <cronjob>-<minutes since 1970 of the scheduled time>, since Kubernetes 1.21."""

_FIRST_MINUTE: Final = 26_900_000
"""February 2021, before the first Kubernetes that named Jobs so. Dates of this century, such as 20260131, are less."""


def workload(pod: Json) -> Workload | None:
    """The workload; None for one that has no name that could be."""
    kind, name = _owner(pod)
    if kind == "ReplicaSet":
        template = ((pod.get("metadata") or {}).get("labels") or {}).get(TEMPLATE_HASH)
        above = name.removesuffix(f"-{template}") if template else name
        kind, name = ("Deployment", above) if above != name else (kind, name)
    elif kind == "Job":
        scheduled = _SCHEDULED.fullmatch(name)
        if scheduled is not None and int(scheduled[2]) >= _FIRST_MINUTE:
            kind, name = "CronJob", scheduled[1]
    if not 0 < len(kind) <= LONGEST_KIND or not 0 < len(name) <= LONGEST_NAME:
        return None
    return _shared(kind, name)


def _owner(pod: Json) -> tuple[str, str]:
    """What the pod says. A pod of its own may have been admitted before it had a whole name (generateName)."""
    sidecar = proxy_container(pod)
    if sidecar is not None:
        told = env_value(sidecar, KIND), env_value(sidecar, NAME)
        if all(told) and told[0] != "Pod":
            return told
    found = Workload.of(pod)
    return found.kind, found.name


@lru_cache(maxsize=1024)  # lists are sorted by name, so a workload's pods come together: all have one object of it
def _shared(kind: str, name: str) -> Workload:
    return Workload(intern(kind), intern(name))
