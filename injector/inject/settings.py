"""From annotations to the settings of one pod: the pod's word, then its namespace's, then the installation's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from injector.inject import annotations, ports, quantity
from injector.inject.annotations import SETTINGS, Key
from injector.inject.names import PREFIX
from injector.inject.ports import PortRange
from injector.inject.values import Subnet

DEFAULT: Final = "default"
INSTALLATION: Final = "installation"
NAMESPACE: Final = "namespace"
POD: Final = "pod"

REMEMBERED_TEXTS: Final = 1024
"""Parsed annotation values kept: a cluster has few different ones, and at 256 KiB of annotations an object at most
(apimachinery's TotalAnnotationSizeLimitB) hostile ones cannot hold more than those bounds times this."""

LONGEST_REMEMBERED: Final = 4096
"""Characters of a value that is remembered: 1024 of them hold at most 4 MiB."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one pod's proxy is told. Quantities are Kubernetes texts ("" for none), grace is in seconds."""

    log_level: str
    log_format: str
    proxy_cpu_request: str
    proxy_cpu_limit: str
    proxy_memory_request: str
    proxy_memory_limit: str
    skip_inbound_ports: tuple[PortRange, ...]
    skip_outbound_ports: tuple[PortRange, ...]
    skip_inbound_subnets: tuple[Subnet, ...]
    skip_outbound_subnets: tuple[Subnet, ...]
    opaque_ports: tuple[PortRange, ...]
    shutdown_grace: int
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each setting comes from, by key name: "pod", "namespace", "installation" or "default"."""

    def bypasses(self) -> list[str]:
        """A sentence for each setting that keeps traffic out of the mesh, or out of its sight."""
        through = "do not pass through the proxy"
        listed_by_key = {
            "skip-inbound-ports": (f"connections to its ports {{}} {through}", ports.text(self.skip_inbound_ports)),
            "skip-outbound-ports": (
                f"connections to ports {{}} elsewhere {through}",
                ports.text(self.skip_outbound_ports),
            ),
            "skip-inbound-subnets": (f"connections from {{}} {through}", _subnets(self.skip_inbound_subnets)),
            "skip-outbound-subnets": (f"connections to {{}} {through}", _subnets(self.skip_outbound_subnets)),
            "opaque-ports": ("on ports {} only bytes are seen, not requests", ports.text(self.opaque_ports)),
        }
        return [
            f"{sentence.format(listed)} ({PREFIX}{name}, set by the {self.origins.get(name, DEFAULT)})"
            for name, (sentence, listed) in listed_by_key.items()
            if listed
        ]


def _subnets(subnets: tuple[Subnet, ...]) -> str:
    return ", ".join(map(str, subnets))


class Resolution(NamedTuple):
    """Settings, with what is wrong on the pod (it is to be refused) and on its namespace (it is to be warned)."""

    settings: Settings
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def resolve(pod: Mapping[str, str], namespace: Mapping[str, str], installation: Mapping[str, str]) -> Resolution:
    """Settings from the annotations of a pod and its namespace and from the installation's defaults.

    `pod` and `namespace` are whole annotation maps; `installation` maps key names to texts that were checked before.
    A bad value on the pod is a fault; on the namespace it is a warning and the next source counts.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    faults: list[str] = []
    warnings: list[str] = []
    for key in SETTINGS:
        for origin, text in _candidates(key, pod, namespace, installation):
            try:
                values[key.name] = _read(key, text)
            except ValueError as fault:
                message = annotations.bad_value(key, text, str(fault))
                faults.append(message) if origin == POD else warnings.append(f"{message}; ignored on the {origin}")
                continue
            origins[key.name] = origin
            break
        else:  # only a bad value in every source, which the installation's check excludes
            values[key.name], origins[key.name] = _read(key, key.default), DEFAULT
    faults += _limits_below_requests(values, origins)
    fields = {name.replace("-", "_"): value for name, value in values.items()}
    return Resolution(Settings(**fields, origins=origins), tuple(faults), tuple(warnings))


def _candidates(
    key: Key, pod: Mapping[str, str], namespace: Mapping[str, str], installation: Mapping[str, str]
) -> list[tuple[str, str]]:
    sources = (
        (POD, pod.get(key.annotation)),
        (NAMESPACE, namespace.get(key.annotation)),
        (INSTALLATION, installation.get(key.name)),
        (DEFAULT, key.default),
    )
    return [(origin, text.strip()) for origin, text in sources if text is not None]


def _read(key: Key, text: str) -> Any:
    return _remembered(key, text) if len(text) <= LONGEST_REMEMBERED else key.read(text)


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _remembered(key: Key, text: str) -> Any:
    return key.read(text)


def _limits_below_requests(values: dict[str, Any], origins: dict[str, str]) -> list[str]:
    """Faults where a limit is below its request; a request that nobody set yields to the limit instead."""
    faults = []
    for resource in ("cpu", "memory"):
        request, limit = f"proxy-{resource}-request", f"proxy-{resource}-limit"
        if not values[limit] or not values[request] or quantity.parse(values[limit]) >= quantity.parse(values[request]):
            continue
        if origins[request] == DEFAULT:
            values[request] = values[limit]
        else:
            faults.append(
                f"{PREFIX}{limit}: expected at least {PREFIX}{request} "
                f"({values[request]}, from the {origins[request]}), got {values[limit]!r} (from the {origins[limit]})"
            )
    return faults
