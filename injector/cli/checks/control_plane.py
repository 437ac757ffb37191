"""PURE. The mesh's own part: Kubernetes' version, the webhook configuration, the deployments, the way between them."""

import datetime
import re
from collections.abc import Iterator
from typing import Final

from injector import __version__
from injector.cli.checks.certificates import REPAIR, certificate_lines
from injector.cli.checks.facts import PARTS, Facts, is_ready, port_of, webhook_pods
from injector.cli.checks.identity import identity_lines
from injector.cli.checks.lines import Line, Section, bad, good, some, worth_knowing
from injector.cli.checks.path import INSTALL_AGAIN, PathFacts, diagnose
from injector.cli.checks.policies import blocking_policies
from injector.cli.manifests import find, load_manifests
from injector.inject.model import Json
from injector.inject.names import SYSTEM_NAMESPACE
from injector.inject.presence import proxy_container
from injector.kube.errors import Forbidden, KubeError, NotFound

OLDEST: Final = (1, 29)
"""Native sidecars are on by default from here (SidecarContainers, beta in 1.29)."""

_INSTALL: Final = "injector install | kubectl apply -f -"


def sections(
    facts: Facts, now: datetime.datetime, fail_within: datetime.timedelta = datetime.timedelta(0)
) -> Iterator[Section]:
    """Everything about the cluster and the mesh's own part. Roots and issuers that end within `fail_within` are bad."""
    yield Section("Kubernetes", (_version_line(facts.version), *_unseen(facts)))
    if isinstance(facts.configuration, NotFound) and all(
        isinstance(found, NotFound) for found in facts.deployments.values()
    ):
        yield Section("Injector", (bad("the mesh is not installed", _INSTALL),))
        return
    configuration = (*_configuration_lines(facts.configuration), *_certificate_lines(facts, now))
    yield Section("Webhook configuration", configuration)
    yield Section("Control plane", tuple(_deployment_lines(facts)))
    if lines := tuple(identity_lines(facts.identity, now, fail_within)):
        yield Section("Identity", lines)
    yield Section("Reviews", (_probe_line(facts),))


def _version_line(version: Json) -> Line:
    text = str(version.get("gitVersion", ""))
    found = re.match(r"v?(\d+)\.(\d+)", text)
    if not found:
        return worth_knowing(f"the API server's version is unknown: {text!r}")
    if (int(found[1]), int(found[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return bad(f"Kubernetes {text} is too old: native sidecars need {wanted}", f"upgrade to {wanted} or newer")
    return good(f"the API server answers, Kubernetes {text}")


def _unseen(facts: Facts) -> Iterator[Line]:
    """What could not be looked at, so that a short report is not taken for a good one."""
    read = {
        "the webhook configuration": facts.configuration,
        "the mesh's roots": facts.identity,
        "pods": facts.pods,
        "namespaces": facts.namespaces,
        f"network policies in {SYSTEM_NAMESPACE}": facts.policies,
        **{f"deployment {name}": found for name, found in facts.deployments.items()},
    }
    for what, found in read.items():
        if isinstance(found, KubeError) and not isinstance(found, NotFound):
            why = "your rights do not suffice" if isinstance(found, Forbidden) else str(found)
            yield worth_knowing(f"cannot look at {what}: {why}")
    for said in facts.notes:
        yield worth_knowing(said)
    if not any(isinstance(found, Forbidden) for found in read.values()):
        yield good("your rights suffice to look at everything")


def _configuration_lines(configuration: Json | KubeError) -> Iterator[Line]:
    if isinstance(configuration, NotFound):
        yield bad("the webhook configuration is missing: no pod is injected", INSTALL_AGAIN)
    if isinstance(configuration, KubeError):
        return
    wanted = {
        webhook["name"]: webhook
        for webhook in find(load_manifests(), "MutatingWebhookConfiguration", "injector")["webhooks"]
    }
    present = {webhook["name"]: webhook for webhook in configuration.get("webhooks") or ()}
    changed = [name for name, webhook in wanted.items() if not _as_installed(present.get(name), webhook)]
    if changed:
        yield bad("the webhook configuration is not as this version installs it", INSTALL_AGAIN, details=changed)
    else:
        yield good("the webhook configuration is as this version installs it")
    if any(webhook.get("failurePolicy") == "Ignore" for webhook in present.values()):
        yield worth_knowing(
            "failurePolicy is Ignore: while no webhook answers, pods that ask for the mesh start without it"
        )


def _as_installed(present: Json | None, wanted: Json) -> bool:
    """Whether all that we say is there; caBundle and failurePolicy may be anything, defaults may be added."""
    if present is None:
        return False
    ours = {key: value for key, value in wanted.items() if key not in {"clientConfig", "failurePolicy"}}
    service = present.get("clientConfig", {}).get("service") or {}
    return (
        all(present.get(key) == value for key, value in ours.items()) and service == wanted["clientConfig"]["service"]
    )


def _certificate_lines(facts: Facts, now: datetime.datetime) -> Iterator[Line]:
    if isinstance(facts.configuration, KubeError):
        return
    served = facts.served
    yield from certificate_lines(facts.configuration, None if isinstance(served, KubeError) else served, now)
    if isinstance(served, NotFound):
        yield bad("there is no serving certificate (Secret injector-webhook-tls)", REPAIR)
    elif isinstance(served, KubeError):
        yield worth_knowing("the serving certificate may not be read: whether it fits caBundle is left to the dry run")


def _deployment_lines(facts: Facts) -> Iterator[Line]:
    for name, found in facts.deployments.items():
        if isinstance(found, NotFound):
            yield bad(f"deployment {name} is missing", INSTALL_AGAIN)
        elif not isinstance(found, KubeError):
            yield _readiness(name, found, facts)
            yield from _version_difference(name, found)


def _readiness(name: str, deployment: Json, facts: Facts) -> Line:
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status") or {}
    ready = status.get("readyReplicas", 0)
    if ready >= wanted > 0:
        return good(f"{name}: {ready} of {wanted} pods ready")
    troubles = [
        f"{pod['metadata']['name']}: {_trouble(pod)}"
        for pod in (facts.system_pods if isinstance(facts.system_pods, list) else ())
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == name and not is_ready(pod)
    ]
    remedy = f"kubectl describe pods -n {SYSTEM_NAMESPACE} -l app.kubernetes.io/name={name}"
    return bad(f"{name}: {ready} of {wanted} pods ready", remedy, details=some(troubles))


def _trouble(pod: Json) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return " ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
    unscheduled = [
        entry.get("message") for entry in status.get("conditions") or () if entry.get("reason") == "Unschedulable"
    ]
    return str(unscheduled[0]) if unscheduled else f"{status.get('phase', 'unknown')}, not ready"


def _version_difference(name: str, deployment: Json) -> Iterator[Line]:
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if re.fullmatch(r"\d+\.\d+\.\d+", tag) and tag != __version__:
        yield worth_knowing(f"{name} runs version {tag}, this command line is {__version__}")


def _probe_line(facts: Facts) -> Line:
    """Whether a pod that asks for the mesh would get its proxy, by really asking."""
    probe = facts.probe
    if not isinstance(probe, KubeError):
        if proxy_container(probe) is not None:
            return good("a pod that asks for the mesh gets its proxy (dry run, through the webhook)")
        return bad(
            "a pod that asks for the mesh was let through without a proxy (dry run)",
            "is failurePolicy Ignore and the webhook away? kubectl get mutatingwebhookconfiguration injector -o yaml",
        )
    message = probe.message
    if "failed calling webhook" in message and ".injector.mesh" in message:
        return diagnose(message, _path_facts(facts)).line(message)
    if "violates PodSecurity" in message and "injector-init" in message:
        return worth_knowing(
            f"a pod that asks for the mesh gets its proxy, and Pod Security then refuses it in {facts.probe_namespace}",
            "try in another namespace: injector check --probe-namespace NAMESPACE",
        )
    return worth_knowing(
        f"whether pods get their proxy could not be tried in namespace {facts.probe_namespace}",
        "try in another namespace: injector check --probe-namespace NAMESPACE",
        details=(message,),
    )


def _path_facts(facts: Facts) -> PathFacts:
    pods = webhook_pods(facts.system_pods) if isinstance(facts.system_pods, list) else []
    port = next(filter(None, (port_of(pod, "https") for pod in pods)), 8443)
    policies = facts.policies if isinstance(facts.policies, list) else []
    labels = {"app.kubernetes.io/name": PARTS[0], "app.kubernetes.io/part-of": "injector"}
    return PathFacts(
        ready_pods=sum(map(is_ready, pods)),
        webhook_port=port,
        blocking_policies=blocking_policies(policies, labels, port, "https"),
        admin_answers=facts.admin_answers,
    )
