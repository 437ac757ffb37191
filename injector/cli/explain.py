"""PURE. Why a pod or a namespace is, or is not, in the mesh, and what holds there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from injector.cli.answers import further_warnings
from injector.cli.outdated import differences
from injector.inject.annotations import SETTINGS
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.names import ENABLED, INJECT, PROXY_CONTAINER
from injector.inject.pod_security import warning as pod_security_warning
from injector.inject.presence import proxy_container
from injector.inject.redirect import describe
from injector.inject.review import Refused, Review, Skipped, review_namespace, review_pod
from injector.inject.settings import DEFAULT, INSTALLATION, NAMESPACE, POD, resolve
from injector.inject.uninject import uninject
from injector.inject.unmeshed import unmeshed


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it holds: its text, and whether pod, namespace, installation or default says so."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class PodExplanation:
    """What there is to know about one pod. `meshed` is whether it has our proxy, `wanted` whether it should."""

    name: str
    namespace: str
    workload: str
    meshed: bool
    wanted: bool
    reason: str
    """A slug: "injected", "outdated", "unmeshed", "refused", or a skip reason."""
    because: tuple[str, ...]
    proxy: str
    settings: tuple[Setting, ...]
    bypasses: tuple[str, ...]
    redirection: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamespaceExplanation:
    """What there is to know about one namespace and the pods in it."""

    name: str
    opted_in: bool
    because: tuple[str, ...]
    pod_security: str
    settings: tuple[Setting, ...]
    bypasses: tuple[str, ...]
    meshed_pods: tuple[str, ...]
    other_pods: tuple[tuple[str, str], ...]
    """Pods without our proxy, each with the reason."""
    warnings: tuple[str, ...]


def explain_pod(pod: Json, namespace: Namespace, installation: Installation, workload: Workload) -> PodExplanation:
    """One pod of a cluster, by its namespace and the installation as they are now."""
    own = pod["metadata"].get("annotations") or {}
    meshed = proxy_container(pod) is not None
    as_made = uninject(pod) if meshed else pod
    review = review_pod(as_made, namespace, installation, workload=workload, opted_in=namespace.opted_in)
    resolution = resolve(own, namespace.annotations, installation.defaults)
    wanted = not isinstance(review, Skipped)
    changes = differences(pod, namespace, installation, workload) if meshed else ()
    reason, because = _verdict(review, changes, meshed=meshed)
    concerned = meshed or wanted
    return PodExplanation(
        name=pod["metadata"]["name"],
        namespace=namespace.name,
        workload=f"{workload.kind}/{workload.name}",
        meshed=meshed,
        wanted=wanted,
        reason=reason,
        because=(*_opted_in_by(own, namespace), *because),
        proxy=_proxy_state(pod) if meshed else "",
        settings=_settings(resolution.settings.origins, own, namespace, installation) if concerned else (),
        bypasses=tuple(resolution.settings.bypasses()) if concerned else (),
        redirection=tuple(describe(resolution.settings, proxy_uid=installation.proxy_uid)) if concerned else (),
        warnings=further_warnings(review),
    )


def explain_namespace(namespace_object: Json, pods: Iterable[Json], installation: Installation) -> NamespaceExplanation:
    """One namespace of a cluster, with its pods."""
    metadata = namespace_object["metadata"]
    namespace = Namespace(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {})
    resolution = resolve({}, namespace.annotations, installation.defaults)
    meshed, others = [], []
    for pod in pods:
        name = pod["metadata"]["name"]
        if proxy_container(pod) is not None:
            meshed.append(name)
        else:
            others.append((name, _why_not(pod, namespace, installation)))
    return NamespaceExplanation(
        name=namespace.name,
        opted_in=namespace.opted_in,
        because=tuple(_namespace_state(namespace)),
        pod_security=pod_security_warning(namespace.labels, namespace.name) or "",
        settings=_settings(resolution.settings.origins, {}, namespace, installation),
        bypasses=tuple(resolution.settings.bypasses()),
        meshed_pods=tuple(meshed),
        other_pods=tuple(others),
        warnings=tuple(said for said in review_namespace(namespace_object).warnings if "Pod Security" not in said),
    )


def _verdict(review: Review, changes: tuple[str, ...], *, meshed: bool) -> tuple[str, tuple[str, ...]]:
    if isinstance(review, Refused):
        faults = tuple(f"{fault.message} ({fault.reason})" for fault in review.faults)
        return "refused", ("a pod like this would be refused now:", *faults)
    if isinstance(review, Skipped):
        said = f"{review.reason.sentence} ({review.reason})"
        return str(review.reason), (f"it has a proxy, yet it would get none now: {said}",) if meshed else (said,)
    if changes:
        return "outdated", (
            "it has a proxy, but one made now would differ, as all below says; restart it to have it so:",
            *changes,
        )
    if meshed:
        return "injected", ("it has exactly the proxy that it would be given now",)
    return "unmeshed", (
        "it asks for the mesh but runs without a proxy: it is older than that wish, or no webhook answered; restart it",
    )


def _opted_in_by(own: Mapping[str, str], namespace: Namespace) -> Iterable[str]:
    if own.get(INJECT) == ENABLED:
        yield f"the pod is annotated {INJECT}: {ENABLED}"
    elif INJECT not in own:
        yield from _namespace_state(namespace)


def _namespace_state(namespace: Namespace) -> Iterable[str]:
    word, label = namespace.annotations.get(INJECT), namespace.labels.get(INJECT)
    if word == ENABLED:
        yield f"namespace {namespace.name} is annotated {INJECT}: {ENABLED}"
        if label != ENABLED:
            yield (
                "but it lacks the label of that name, by which the API server finds it, for it was annotated while the "
                f"mesh was not installed. Do: kubectl label namespace {namespace.name} {INJECT}={ENABLED}"
            )
    elif label == ENABLED:
        yield f"namespace {namespace.name} is labelled {INJECT}: {ENABLED}, but not annotated so"
    elif word is not None:
        yield f"namespace {namespace.name} is annotated {INJECT}: {word!r}"
    else:
        yield f"namespace {namespace.name} is not annotated {INJECT}"


def _settings(
    origins: Mapping[str, str], own: Mapping[str, str], namespace: Namespace, installation: Installation
) -> tuple[Setting, ...]:
    def text(name: str, annotation: str, default: str) -> str:
        said = {
            POD: own.get(annotation),
            NAMESPACE: namespace.annotations.get(annotation),
            INSTALLATION: installation.defaults.get(name),
        }.get(origins.get(name, DEFAULT))
        return default if said is None else said

    return tuple(
        Setting(key.name, text(key.name, key.annotation, key.default), origins.get(key.name, DEFAULT))
        for key in SETTINGS
    )


def _proxy_state(pod: Json) -> str:
    status = next(
        (
            entry
            for entry in (pod.get("status") or {}).get("initContainerStatuses") or ()
            if entry.get("name") == PROXY_CONTAINER
        ),
        None,
    )
    if status is None:
        return "not started yet"
    state = status.get("state") or {}
    kind = next(iter(state), "waiting")
    why = (state.get(kind) or {}).get("reason")
    ready = "ready" if status.get("started") and kind == "running" else "not ready"
    restarts = status.get("restartCount", 0)
    return f"{kind}{f' ({why})' if why else ''}, {ready}, {restarts} restarts, {status.get('image', '')}"


def _why_not(pod: Json, namespace: Namespace, installation: Installation) -> str:
    if found := unmeshed(pod, namespace, installation):
        return found.message
    review = review_pod(pod, namespace, installation, opted_in=namespace.opted_in)
    return f"{review.reason.sentence} ({review.reason})" if isinstance(review, Skipped) else ""
