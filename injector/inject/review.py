"""One answer for one pod: what is added, why nothing is, or why the pod is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final, TypeAlias

from injector.inject import annotations, counterfeit, decision, patch, pod_security, presence, probes, sidecar
from injector.inject.annotations import INJECT_KEY
from injector.inject.decision import Skip, SkipReason
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.names import ENABLED, INJECT
from injector.inject.refusal import Fault, RefusalReason, collisions, listed, out_of_place
from injector.inject.settings import Settings, resolve
from injector.inject.shape import MOST_FAULTS, shape_faults
from injector.inject.uninject import bare

_LABEL_PATH: Final = "/metadata/labels/" + INJECT.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Injected:
    """The pod gets a proxy by these operations (RFC 6902); `settings` are what its proxy is told."""

    operations: list[patch.Operation]
    settings: Settings
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """The pod stays as it is."""

    reason: SkipReason
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The pod cannot be created as it is; `faults` lists everything that is wrong with it."""

    faults: tuple[Fault, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamespaceReview:
    """What happens to a Namespace: operations that keep the opt-in label in step, and what to tell its editor."""

    operations: list[patch.Operation]
    warnings: tuple[str, ...] = ()


Review: TypeAlias = Injected | Skipped | Refused


def review_pod(
    pod: Json, namespace: Namespace, installation: Installation, *, workload: Workload | None = None, opted_in: bool
) -> Review:
    """The whole decision for one pod, which is not changed.

    `opted_in` is True where the API server sent the pod for its namespace's label. `workload` names what the pod
    belongs to; without it, the pod's own word (its controlling owner) is taken.
    """
    if malformed := shape_faults(pod):
        return Refused(tuple(Fault(RefusalReason.MALFORMED_POD, message) for message in malformed))
    own = (pod.get("metadata") or {}).get("annotations") or {}
    if (word := own.get(INJECT)) is not None and (fault := _bad_word(word)):
        others = resolve(own, namespace.annotations, installation.defaults)
        return Refused(listed(_bad_values((fault, *others.faults))), others.warnings)
    decided = decision.decide(pod, namespace, opted_in=opted_in)
    if isinstance(decided, Skip):
        if decided.reason in decision.NO_PLACE and presence.redirection_container(pod):
            return Refused((out_of_place(decided.reason.sentence),))
        return _skipped(decided.reason)
    resolution = resolve(own, namespace.annotations, installation.defaults)
    warnings = (*annotations.unknown_keys(own), *resolution.warnings, *_security_warnings(namespace))
    own_part = bare(pod) if any(presence.claims(pod["spec"])) else pod
    rewrites = list(probes.rewrites(own_part["spec"]))
    declared = probes.encode([rewrite.declaration for rewrite in rewrites])
    ours = _containers(own_part["spec"], resolution.settings, installation, workload or Workload.of(pod), declared)
    additions = (ours, sidecar.volumes(), rewrites)
    collided = collisions(own_part["spec"], installation.proxy_uid, declared)
    faults = chain(_bad_values(resolution.faults), collided)
    secret = patch.pull_secret(pod["spec"], installation.image_pull_secret)
    if own_part is pod:
        if told := listed(faults):
            return Refused(told, warnings)
        operations = patch.first_injection(pod["spec"], *additions) + secret
        return Injected(operations, resolution.settings, warnings)
    wanted = patch.injected_spec(own_part["spec"], *additions)
    if told := listed(chain(faults, counterfeit.faults(pod["spec"], wanted))):
        return Refused(told, warnings)
    operations = patch.repair(pod["spec"], wanted) + secret
    if not operations:
        return _skipped(SkipReason.ALREADY_INJECTED, warnings)
    warnings = (*warnings, *islice(counterfeit.additions(pod["spec"], wanted), MOST_FAULTS))
    return Injected(operations, resolution.settings, warnings)


def _containers(
    spec: Json, settings: Settings, installation: Installation, workload: Workload, declared: str
) -> list[Json]:
    init = sidecar.init_container(spec, settings, installation)
    return [init, sidecar.proxy_container(spec, settings, installation, workload, declared)]


def _bad_values(messages: Iterable[str]) -> tuple[Fault, ...]:
    return tuple(Fault(RefusalReason.BAD_VALUE, message) for message in messages)


def _bad_word(word: str) -> str | None:
    try:
        INJECT_KEY.read(word)
    except ValueError as fault:
        return annotations.bad_value(INJECT_KEY, word, str(fault))
    return None


def _skipped(reason: SkipReason, warnings: Iterable[str] = ()) -> Skipped:
    said = () if reason in decision.QUIET else (f"not injected ({reason}): {reason.sentence}",)
    return Skipped(reason, (*said, *warnings))


def _security_warnings(namespace: Namespace) -> Iterable[str]:
    said = pod_security.warning(namespace.labels, namespace.name)
    return (said,) if said else ()


def review_namespace(namespace: Json) -> NamespaceReview:
    """Keeps the label that webhooks select by in step with the annotation that people write."""
    metadata: dict[str, Any] = namespace.get("metadata") or {}
    own, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    warnings = list(annotations.unknown_keys(own))
    word = own.get(INJECT)
    if word is not None and (fault := _bad_word(word)):
        warnings.append(f"{fault}; the namespace is not opted in")
    settings = resolve({}, own, {})
    warnings += (*settings.faults, *settings.warnings)
    wanted = word == ENABLED
    if wanted:
        warnings += _security_warnings(Namespace(str(metadata.get("name", "")), labels, own))
    if not wanted and INJECT in labels and word is None:
        warnings.append(f"label {INJECT} follows the annotation of that name; annotate the namespace instead")
    return NamespaceReview(_label_operations(labels, wanted=wanted), tuple(warnings))


def _label_operations(labels: dict[str, str], *, wanted: bool) -> list[patch.Operation]:
    if wanted and labels.get(INJECT) != ENABLED:
        if not labels:
            return [{"op": "add", "path": "/metadata/labels", "value": {INJECT: ENABLED}}]
        return [{"op": "add", "path": _LABEL_PATH, "value": ENABLED}]
    if not wanted and INJECT in labels:
        return [{"op": "remove", "path": _LABEL_PATH}]
    return []
