"""`injector inject --live`: what the command line says that the cluster's webhook will do."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from tests.cluster.support.cluster import Cluster
from tests.cluster.support.command import injector
from tests.cluster.support.kinds import Json

REFUSAL: Final = re.compile(r"Pod \S+/(\S+) would be refused \((\S+)\): (.*)")


def previewed(cluster: Cluster, namespace: str, pods: Iterable[Json]) -> list[Json]:
    """The pods as the command prints them, in their order."""
    code, output, faults = injector(cluster, *_words(namespace), stdin=_as_list(pods))
    assert code == 0, faults
    items: list[Json] = json.loads(output)["items"]
    return items


def refusals(cluster: Cluster, namespace: str, pods: Sequence[Json]) -> dict[str, list[tuple[str, str]]]:
    """By pod name, the (reason, message) of each fault that the command finds; it must find some and print no pod."""
    code, output, faults = injector(cluster, *_words(namespace), stdin=_as_list(pods))
    assert (code, output) == (1, ""), (code, output[:500], faults)
    found: dict[str, list[tuple[str, str]]] = {}
    for name, reason, message in REFUSAL.findall(faults):
        found.setdefault(name, []).append((reason, message))
    return found


def _words(namespace: str) -> tuple[str, ...]:
    return "inject", "--live", "--namespace", namespace, "--quiet", "--output", "json", "-"


def _as_list(pods: Iterable[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pods)})
