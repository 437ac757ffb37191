"""What ConfigMap injector-mesh says (pure): the roots, and `mesh.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from injector.controller.objects import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injector.kube.client import Object

NAME = "injector-mesh"
PART_LABEL = "injector.mesh/part"
PART = "trust"
ROOTS_KEY = "roots.pem"
MESH_KEY = "mesh.json"
MESH_VERSION = 1
PORT = 8443
"""Of Service injector-identity and of Service injector-discovery."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What of a namespace's ConfigMap is ours: its data, and whether it is marked as ours."""

    data: Mapping[str, str]
    ours: bool


def read_copy(config_map: Object) -> Copy:
    """A namespace's ConfigMap."""
    labels = config_map["metadata"].get("labels") or {}
    data = config_map.get("data") or {}
    # Others may have written a megabyte beside it.
    ours = {key: data[key] for key in (ROOTS_KEY, MESH_KEY) if key in data}
    return Copy(ours, labels.get(PART_LABEL) == PART)


def mesh_json(
    trust_domain: str,
    namespace: str,
    identity: Sequence[str],
    discovery: Sequence[str],
    networks: Sequence[str],
) -> str:
    """The facts that a proxy needs before it can ask anybody; addresses of the Services, so that it needs no DNS."""
    facts = {
        "version": MESH_VERSION,
        "trustDomain": trust_domain,
        "systemNamespace": namespace,
        "identity": [_with_port(address) for address in identity],
        "discovery": [_with_port(address) for address in discovery],
        "networks": list(networks),
    }
    return orjson.dumps(facts).decode() + "\n"


def _with_port(address: str) -> str:
    return f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"


def config_map(data: Mapping[str, str]) -> Object:
    """The ConfigMap to apply."""
    return {"metadata": {"name": NAME, "labels": LABELS | {PART_LABEL: PART}}, "data": dict(data)}
