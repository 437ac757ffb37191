"""Probes and lifecycle hooks that the proxy performs in the kubelet's stead.

Behind a transparent proxy every TCP connect succeeds, so a probe must not pass through it: it is rewritten to an HTTP
GET on the proxy's admin port, which performs the declared probe on the application. The original handler travels in
the sidecar's environment, so that the proxy knows it and that `uninject` can put it back.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import orjson

from injector.inject.model import Json
from injector.inject.names import ADMIN_PORT

PROBE_FIELDS: Final = ("startupProbe", "readinessProbe", "livenessProbe")
HOOK_FIELDS: Final = ("postStart", "preStop")
PROBE_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc")
HOOK_HANDLERS: Final = ("httpGet",)
"""A hook's tcpSocket is accepted by the API and never run (Kubernetes LifecycleHandler); it stays as it is."""

DEFAULT_TIMEOUT_SECONDS: Final = 1
"""What the API server fills in for a probe without timeoutSeconds (core/v1 Probe)."""


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One probe or hook: where it stands, what stands there, what comes instead, and what the proxy is told.

    `group` is "containers" or "initContainers", `index` the container's place in it, `where` the path below it.
    """

    group: str
    index: int
    where: tuple[str, ...]
    replacement: Json
    declaration: Json


def rewrites(spec: Json) -> Iterator[Rewrite]:
    """All probes and hooks of a pod spec that the proxy must perform. Init containers count if they are sidecars."""
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            for where, probe, handlers in _declared(container):
                handler = _only_handler(probe)
                port = _port(container, probe[handler]) if handler in handlers else None
                if handler and port is not None:
                    yield _rewrite(group, index, container, where, probe, handler, port)


def _only_handler(probe: Json) -> str | None:
    """The probe's handler. None where it has two: the API server refuses that, and must go on seeing it."""
    given = [name for name in PROBE_HANDLERS if isinstance(probe.get(name), dict)]
    return given[0] if len(given) == 1 and not probe.get("exec") else None


def _declared(container: Json) -> Iterator[tuple[tuple[str, ...], Json, tuple[str, ...]]]:
    for field in PROBE_FIELDS:
        if isinstance(probe := container.get(field), dict):
            yield (field,), probe, PROBE_HANDLERS
    lifecycle = container.get("lifecycle")
    if isinstance(lifecycle, dict):
        for field in HOOK_FIELDS:
            if isinstance(hook := lifecycle.get(field), dict):
                yield ("lifecycle", field), hook, HOOK_HANDLERS


def _rewrite(
    group: str, index: int, container: Json, where: tuple[str, ...], probe: Json, handler: str, port: int
) -> Rewrite:
    path = _path(container, where)
    replacement = {name: value for name, value in probe.items() if name not in PROBE_HANDLERS}
    replacement["httpGet"] = {"path": path, "port": ADMIN_PORT, "scheme": "HTTP"}
    declaration: Json = {"path": path, "port": port, "handler": {handler: probe[handler]}}
    if where[-1] in PROBE_FIELDS:
        declaration["timeoutSeconds"] = probe.get("timeoutSeconds") or DEFAULT_TIMEOUT_SECONDS
    return Rewrite(group, index, where, replacement, declaration)


def _path(container: Json, where: tuple[str, ...]) -> str:
    return f"/probes/{container.get('name', '')}/{where[-1]}"


def _port(container: Json, handler: Json) -> int | None:
    """The handler's port as a number: named ports are the same container's, and digits in a string are a number
    (kubelet's ExtractPort). None where the kubelet would find none either: such a probe stays, and fails, as it was."""
    port: Any = handler.get("port")
    if isinstance(port, str):
        named = (
            entry.get("containerPort") for entry in container.get("ports") or () if port and entry.get("name") == port
        )
        port = next(named, int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None)
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 else None


def encode(declarations: list[Json]) -> str:
    """The sidecar's INJECTOR_PROBES: compact, and the same text for the same probes in whatever order they stand."""
    return _ENCODER.encode(sorted(declarations, key=itemgetter("path")))


def restored(spec: Json, encoded: str) -> Json:
    """The spec with original handlers back wherever a rewritten one stands; what is not ours to read is left. It shares
    what it does not change."""
    handlers: Json = {}
    for declaration in _decode(encoded):
        path, handler = declaration.get("path"), declaration.get("handler")
        if isinstance(path, str) and isinstance(handler, dict) and len(handler) == 1 and _only_handler(handler):
            handlers.setdefault(path, handler)
    if not handlers:
        return spec
    groups = {group: spec[group] for group in ("initContainers", "containers") if spec.get(group)}
    return spec | {group: [_restored(it, handlers) for it in containers] for group, containers in groups.items()}


def _restored(container: Json, handlers: Json) -> Json:
    for where, probe, _ in _declared(container):
        path = _path(container, where)
        get = probe.get("httpGet")
        ours = isinstance(get, dict) and get.get("path") == path and get.get("port") == ADMIN_PORT
        if ours and path in handlers:
            rest = {name: value for name, value in probe.items() if name not in PROBE_HANDLERS}
            container = replaced(container, where, {**rest, **handlers[path]})
    return container


def replaced(container: Json, where: tuple[str, ...], probe: Json) -> Json:
    """The container with another probe or hook at this path below it; it shares the rest."""
    field, *below = where
    return {**container, field: replaced(container[field], tuple(below), probe) if below else probe}


def _decode(encoded: str) -> list[Json]:
    try:
        declarations = orjson.loads(encoded)  # unlike json it takes no lone surrogates, which no answer could carry
    except orjson.JSONDecodeError:
        return []
    return [entry for entry in declarations if isinstance(entry, dict)] if isinstance(declarations, list) else []


def targets(spec: Json) -> Iterator[tuple[str, str, int]]:
    """(container, field, port) of every probe and hook with a port, rewritten or not."""
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            for where, probe, handlers in _declared(container):
                for name in handlers:
                    port = _port(container, probe[name]) if isinstance(probe.get(name), dict) else None
                    if port is not None:
                        yield str(container.get("name", "")), where[-1], port
