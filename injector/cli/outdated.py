"""PURE. How a pod's proxy differs from the one that it would be given now."""

from collections.abc import Iterator
from typing import Any, Final

from injector.inject.counterfeit import same
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.names import CONTAINERS
from injector.inject.review import Injected, Skipped, review_pod
from injector.inject.uninject import uninject

SHOWN_CHARACTERS: Final = 60
"""Of a value on either side; rules and probe lists are longer and only named."""


_WORDS: Final = {
    "INJECTOR_IPTABLES_RULES": "redirection rules (IPv4)",
    "INJECTOR_IP6TABLES_RULES": "redirection rules (IPv6)",
    "INJECTOR_PROBES": "probes to perform",
}


def differences(pod: Json, namespace: Namespace, installation: Installation, workload: Workload) -> tuple[str, ...]:
    """A phrase for each thing about a meshed pod's proxy that one made now would have otherwise.

    None where nothing differs, or where the pod would get no proxy now. The pod is judged as if it were made anew:
    an older version's proxy is no counterfeit here.
    """
    if isinstance(review_pod(pod, namespace, installation, workload=workload, opted_in=namespace.opted_in), Skipped):
        return ()
    bare = uninject(pod)
    review = review_pod(bare, namespace, installation, workload=workload, opted_in=namespace.opted_in)
    if not isinstance(review, Injected):
        return ()
    import jsonpatch

    anew = jsonpatch.apply_patch(bare, review.operations)["spec"]
    present = {container["name"]: container for container in pod["spec"].get("initContainers") or ()}
    found = [
        phrase
        for container in anew["initContainers"]
        if container["name"] in CONTAINERS and not same(present.get(container["name"], container), container)
        for phrase in _container_differences(present[container["name"]], container)
    ]
    return tuple(found) or ("the order of its containers, its volumes or its probes would differ",)


def _container_differences(present: Json, wanted: Json) -> Iterator[str]:
    name = wanted["name"]
    before, after = _environment(present), _environment(wanted)
    for variable in dict.fromkeys((*before, *after)):
        if before.get(variable) != after.get(variable):
            yield f"{name}: {_WORDS.get(variable, variable)} {_change(before.get(variable), after.get(variable))}"
    for field in sorted(wanted.keys() - {"env"}):
        if present.get(field) != wanted[field]:
            yield f"{name}: {field} {_change(present.get(field), wanted[field])}"


def _environment(container: Json) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) or "" for entry in container.get("env") or ()}


def _change(before: Any, after: Any) -> str:
    texts = ["absent" if value is None else repr(value) for value in (before, after)]
    if any(len(text) > SHOWN_CHARACTERS or "\\n" in text for text in texts):
        return "would differ"
    return " would be ".join(texts)
