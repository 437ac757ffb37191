"""From annotations to the settings of one pod: the pod's word, then its namespace's, then the installation's."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from injector.inject import annotations, inbound_policy, ports, quantity
from injector.inject.annotations import BY_NAME, SETTINGS, Key
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
    default_inbound_policy: str
    unknown_destinations: str
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
            "unknown-destinations": (
                "while discovery does not answer, {} new destinations are reached as plain bytes",
                "all" if self.unknown_destinations == "pass" else "",
            ),
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
    A bad value on the pod is a fault; on the namespace it is a warning and the next source counts, except that a key
    which guards is a fault there, too.
    """
    found: dict[str, _Found] = {}
    faults: list[str] = []
    warnings: list[str] = []
    for key in SETTINGS:
        candidates = (
            (POD, pod.get(key.annotation)),
            (NAMESPACE, namespace.get(key.annotation)),
            (INSTALLATION, installation.get(key.name)),
        )
        found[key.name] = _first_good(key, candidates, faults, warnings)
    for resource in ("cpu", "memory"):
        _settle_limit(resource, found, installation, faults, warnings)
    faults += _weakened(found, namespace, installation)
    fields = {name.replace("-", "_"): value for name, (value, _) in found.items()}
    origins = {name: origin for name, (_, origin) in found.items()}
    return Resolution(Settings(**fields, origins=origins), tuple(faults), tuple(warnings))


class _Found(NamedTuple):
    value: Any
    origin: str


def _first_good(
    key: Key, candidates: Iterable[tuple[str, str | None]], faults: list[str], warnings: list[str]
) -> _Found:
    """The first candidate that can be read, else the default; the bad ones before it are told."""
    for origin, text in candidates:
        if text is None:
            continue
        try:
            return _Found(_read(key, text.strip()), origin)
        except ValueError as fault:
            message = annotations.bad_value(key, text.strip(), str(fault))
            if origin == POD:
                faults.append(message)
            elif key.guards:
                faults.append(f"{message} on the {origin}; its pods are refused until that is corrected")
            else:
                warnings.append(f"{message}; ignored on the {origin}")
    return _Found(_read(key, key.default), DEFAULT)


def _read(key: Key, text: str) -> Any:
    return _remembered(key, text) if len(text) <= LONGEST_REMEMBERED else key.read(text)


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _remembered(key: Key, text: str) -> Any:
    return key.read(text)


def _settle_limit(
    resource: str, found: dict[str, _Found], installation: Mapping[str, str], faults: list[str], warnings: list[str]
) -> None:
    """No limit below its request: one that the pod has a part in is a fault, one of its namespace's is ignored."""
    request, limit = f"proxy-{resource}-request", f"proxy-{resource}-limit"
    message = _limit_below_request(request, limit, found)
    if message and POD in (found[request].origin, found[limit].origin):
        faults.append(message)
    elif message:
        warnings.append(f"{message}; the namespace's word on both is ignored")
        for name in (request, limit):
            found[name] = _first_good(BY_NAME[name], [(INSTALLATION, installation.get(name))], faults, warnings)


def _weakened(
    found: Mapping[str, _Found], namespace: Mapping[str, str], installation: Mapping[str, str]
) -> Iterator[str]:
    """A fault for each word of a pod's that lets in more callers than its namespace does, or, where that says nothing,
    the installation. What skips the proxy skips its policy: where that keeps anybody out, a pod may not skip more.
    """

    def above(key: Key, faults: list[str]) -> _Found:
        words = ((NAMESPACE, namespace.get(key.annotation)), (INSTALLATION, installation.get(key.name)))
        return _first_good(key, words, faults, [])

    key = BY_NAME["default-inbound-policy"]
    unreadable: list[str] = []
    policy, origin = found[key.name]
    bound, setter = above(key, unreadable)
    if origin == POD:
        yield from unreadable
        if inbound_policy.weakens(policy, bound):
            expected = f"expected nobody let in beyond {bound!r} (from the {setter})"
            yield annotations.bad_value(key, policy, expected)
    if bound == inbound_policy.OPEN:
        return
    for name, beyond in _SKIPS:
        skipped, origin = found[name]
        if origin == POD and (more := ", ".join(map(str, beyond(skipped, above(BY_NAME[name], []).value)))):
            expected = f"expected no more than its namespace's, for it skips the policy {bound!r} (from the {setter})"
            yield annotations.bad_value(BY_NAME[name], more, expected)


_SKIPS: Final[tuple[tuple[str, Callable[[Any, Any], Iterable[object]]], ...]] = (
    ("skip-inbound-ports", inbound_policy.ports_beyond),
    ("skip-inbound-subnets", inbound_policy.subnets_beyond),
)
"""Settings that take connections to the pod away from its proxy, and what of one goes beyond another."""


def _limit_below_request(request: str, limit: str, found: dict[str, _Found]) -> str | None:
    """What is wrong with a limit below its request. A default request is below every limit that can be set."""
    (asked, asker), (allowed, allower) = found[request], found[limit]
    if not asked or not allowed or quantity.parse(allowed) >= quantity.parse(asked):
        return None
    return (
        f"{PREFIX}{limit}: expected at least {PREFIX}{request} ({asked}, from the {asker}), "
        f"got {allowed!r} (from the {allower})"
    )
