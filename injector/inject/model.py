"""The plain data that decisions are made on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from injector.inject.names import ENABLED, INJECT

Json: TypeAlias = dict[str, Any]
"""A JSON object as it came from the API server or a manifest: camelCase keys, unknown fields included."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """What of a Namespace object bears on its pods."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def opted_in(self) -> bool:
        """Whether pods created here get a proxy: by the annotation, or by the label that admission derived from it."""
        return self.annotations.get(INJECT) == ENABLED or self.labels.get(INJECT) == ENABLED


@dataclass(frozen=True, slots=True)
class Workload:
    """The object that a person would name when asked what a pod belongs to, such as Deployment/web."""

    kind: str
    name: str

    @classmethod
    def of(cls, pod: Json) -> "Workload":
        """The pod's controlling owner, or the pod itself. Knows only what the pod says: a ReplicaSet stays one."""
        metadata = pod.get("metadata") or {}
        for owner in metadata.get("ownerReferences") or ():
            if owner.get("controller"):
                return cls(str(owner.get("kind", "")), str(owner.get("name", "")))
        return cls("Pod", str(metadata.get("name") or metadata.get("generateName") or ""))
