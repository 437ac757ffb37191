"""PURE. Namespaces and pods: who asked for the mesh, who is in it, and what passes it by."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from injector.cli.checks.facts import Facts
from injector.cli.checks.lines import Line, Section, bad, count, good, some, worth_knowing
from injector.cli.outdated import differences
from injector.cli.workloads import lives
from injector.inject.decision import SkipReason
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.names import CONTAINERS, ENABLED, INJECT, SYSTEM_NAMESPACES
from injector.inject.pod_security import warning as pod_security_warning
from injector.inject.presence import env_value, proxy_container
from injector.inject.review import Skipped, review_namespace, review_pod
from injector.inject.settings import resolve
from injector.inject.unmeshed import unmeshed

_QUIET: Final = frozenset({SkipReason.NOT_ENABLED, SkipReason.ALREADY_INJECTED, SkipReason.SYSTEM_NAMESPACE})
_ROLLED: Final = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet"})
"""Owners whose pods `injector enable --restart` replaces."""

_TROUBLED: Final = frozenset(
    {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerError", "InvalidImageName"}
)


def sections(facts: Facts) -> Iterator[Section]:
    """Everything about those who use the mesh."""
    if not isinstance(facts.namespaces, list):
        return
    yield Section("Namespaces", tuple(_namespace_lines(facts.namespaces, facts.installation)))
    if isinstance(facts.pods, list):
        spaces = {name: _namespace(found) for found in facts.namespaces for name in (found["metadata"]["name"],)}
        living = [pod for pod in facts.pods if lives(pod) and pod["metadata"]["namespace"] not in SYSTEM_NAMESPACES]
        yield Section("Pods", tuple(_pod_lines(living, spaces, facts.installation)))


def _namespace(found: Json) -> Namespace:
    metadata = found["metadata"]
    return Namespace(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {})


def _namespace_lines(found: list[Json], installation: Installation) -> Iterator[Line]:
    spaces = [_namespace(item) for item in found]
    opted_in = [space for space in spaces if space.opted_in and space.name not in SYSTEM_NAMESPACES]
    names = ", ".join(some([space.name for space in opted_in]))
    yield (
        good(f"{count(len(opted_in), 'namespace')} opted in: {names}")
        if opted_in
        else worth_knowing("no namespace is opted in", "injector enable NAMESPACE --restart")
    )
    if unlabelled := [space.name for space in opted_in if space.labels.get(INJECT) != ENABLED]:
        yield bad(
            "annotated while the mesh was not installed, so that their pods are not injected: " + ", ".join(unlabelled),
            *(f"kubectl label namespace {name} {INJECT}={ENABLED}" for name in some(unlabelled)),
        )
    if unannotated := [space.name for space in opted_in if space.annotations.get(INJECT) != ENABLED]:
        yield worth_knowing(
            "labelled by hand but not annotated (the label is derived from the annotation): " + ", ".join(unannotated),
            *(f"injector enable {name}" for name in some(unannotated)),
        )
    for space in opted_in:
        if said := pod_security_warning(space.labels, space.name):
            yield bad(said)
    yield from _namespace_warnings(found)
    for space in opted_in:
        if bypasses := resolve({}, space.annotations, installation.defaults).settings.bypasses():
            yield worth_knowing(f"what bypasses the mesh in namespace {space.name}", details=bypasses)
    if system := [space.name for space in spaces if INJECT in space.annotations and space.name in SYSTEM_NAMESPACES]:
        yield worth_knowing("annotated, but never in the mesh: " + ", ".join(system))


def _namespace_warnings(found: list[Json]) -> Iterator[Line]:
    for item in found:
        for said in review_namespace(item).warnings:
            if "Pod Security" not in said and "follows the annotation" not in said:
                yield worth_knowing(f"namespace {item['metadata']['name']}: {said}")


def _pod_lines(pods: list[Json], spaces: dict[str, Namespace], installation: Installation) -> Iterator[Line]:
    known = [(pod, spaces[pod["metadata"]["namespace"]]) for pod in pods if pod["metadata"]["namespace"] in spaces]
    meshed = [pod for pod, _ in known if proxy_container(pod) is not None]
    yield good(f"{count(len(meshed), 'pod')} with a proxy")
    yield from _without_proxy(known, installation)
    yield from _troubled(meshed)
    yield from _outdated(known, installation)
    yield from _exempt(known, installation)
    yield from _own_bypasses(known)


def _without_proxy(known: list[tuple[Json, Namespace]], installation: Installation) -> Iterator[Line]:
    findings = [(pod, found) for pod, space in known if (found := unmeshed(pod, space, installation))]
    if not findings:
        yield good("every pod that asks for the mesh has a proxy")
        return
    rolled = {pod["metadata"]["namespace"] for pod, _ in findings if Workload.of(pod).kind in _ROLLED}
    alone = [_name(pod) for pod, _ in findings if Workload.of(pod).kind not in _ROLLED]
    remedy = [f"injector enable {name} --restart" for name in some(sorted(rolled))]
    remedy += ["nothing rolls these, make them anew yourself: " + ", ".join(some(alone))] if alone else []
    yield bad(
        f"{count(len(findings), 'pod')} without a proxy, though asking for one",
        *remedy,
        details=some([f"{_name(pod)}: {found.message}" for pod, found in findings]),
    )


def _troubled(meshed: Iterable[Json]) -> Iterator[Line]:
    """Pods whose own mesh containers cannot run."""
    for pod in meshed:
        for status in (pod.get("status") or {}).get("initContainerStatuses") or ():
            reason = ((status.get("state") or {}).get("waiting") or {}).get("reason")
            if status.get("name") in CONTAINERS and reason in _TROUBLED:
                where, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
                yield bad(
                    f"{_name(pod)}: {status['name']} cannot run ({reason})",
                    f"kubectl logs -n {where} {name} -c {status['name']}",
                    f"kubectl describe pod -n {where} {name}",
                )


def _exempt(known: list[tuple[Json, Namespace]], installation: Installation) -> Iterator[Line]:
    counted: Counter[SkipReason] = Counter()
    for pod, space in known:
        if proxy_container(pod) is None:
            review = review_pod(pod, space, installation, opted_in=space.opted_in)
            if isinstance(review, Skipped) and review.reason not in _QUIET:
                counted[review.reason] += 1
    if counted:
        details = [f"{count} because {reason.sentence} ({reason})" for reason, count in counted.most_common()]
        yield worth_knowing(f"{count(sum(counted.values()), 'pod')} exempt from the mesh", details=details)


def _outdated(known: list[tuple[Json, Namespace]], installation: Installation) -> Iterator[Line]:
    """Pods whose proxy is not the one that they would be given now. The workload's name is theirs to keep: asking for
    every owner would be a request each, and says nothing about settings."""
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for pod, space in known:
        proxy = proxy_container(pod)
        if proxy is None:
            continue
        workload = Workload(env_value(proxy, "INJECTOR_WORKLOAD_KIND"), env_value(proxy, "INJECTOR_WORKLOAD_NAME"))
        if changes := differences(pod, space, installation, workload):
            found[f"{workload.kind} {space.name}/{workload.name}", changes] += 1
    if found:
        yield worth_knowing(
            f"{count(found.total(), 'pod')} with other settings than they would get now",
            "they take them when they are replaced: injector enable NAMESPACE --restart",
            details=some([f"{number} of {owner}: {'; '.join(how)}" for (owner, how), number in sorted(found.items())]),
        )


def _own_bypasses(known: list[tuple[Json, Namespace]]) -> Iterator[Line]:
    """What pods' own annotations keep out of the mesh, a line for the pods of one owner."""
    found: dict[str, set[str]] = defaultdict(set)
    for pod, space in known:
        own = pod["metadata"].get("annotations") or {}
        if proxy_container(pod) is not None:
            workload = Workload.of(pod)
            found[f"{workload.kind} {space.name}/{workload.name}"].update(resolve(own, {}, {}).settings.bypasses())
    details = [f"{owner}: {sentence}" for owner, sentences in sorted(found.items()) for sentence in sorted(sentences)]
    if details:
        yield worth_knowing("what bypasses the mesh by pods' own annotations", details=some(details))


def _name(pod: Json) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
