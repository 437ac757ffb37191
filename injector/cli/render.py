"""PURE. The manifests with an installation's settings applied: the same settings give the same bytes, always."""

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from injector.cli.documents.read import Document
from injector.cli.documents.write import to_yaml
from injector.cli.manifests import find
from injector.inject.installation import Installation, InstallationError

REGISTRY: Final = "ghcr.io/injector-mesh"
WEBHOOK_PORT: Final = 8443
ADMIN_PORT: Final = 8080
API_SERVER_PORTS: Final = (443, 6443)
DEPLOYMENTS: Final = ("injector-webhook", "injector-controller", "injector-identity", "injector-discovery")
CHECKSUM: Final = "injector.mesh/installation-checksum"
INSTALLATION_KEY: Final = "installation.yaml"

_REGISTRY: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class SettingsError(ValueError):
    """Settings that cannot be installed; `faults` lists every one, a sentence each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class InstallSettings:
    """What `injector install` can be told. The defaults are the manifests as they stand; None leaves them so."""

    registry: str | None = None
    tag: str | None = None
    proxy_digest: str | None = None
    controller_digest: str | None = None
    image_pull_policy: str | None = None
    image_pull_secret: str | None = None
    failure_policy: str | None = None
    webhook_port: int = WEBHOOK_PORT
    webhook_admin_port: int = ADMIN_PORT
    host_network: bool = False
    api_server_ports: tuple[int, ...] = ()
    """Besides API_SERVER_PORTS."""
    proxy_uid: int | None = None
    extra_env: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    trust_domain: str | None = None
    networks: tuple[str, ...] = ()
    identity_given: bool = False


def render(manifests: list[Document], settings: InstallSettings) -> list[Document]:
    """The objects to apply, in order. One that no setting touches keeps its text, comments included.

    Raises SettingsError.
    """
    rendered = [copy.deepcopy(document) for document in manifests]
    faults = [*_image_faults(settings), *_port_faults(settings)]
    try:
        text = _apply_installation(rendered, settings)
    except InstallationError as bad:
        raise SettingsError([*faults, *bad.faults]) from bad
    if faults:
        raise SettingsError(faults)
    for name in DEPLOYMENTS:
        _apply_to_deployment(find(rendered, "Deployment", name), settings, hashlib.sha256(text.encode()).hexdigest())
    _apply_ports(rendered, settings)
    if settings.host_network:
        _apply_host_network(rendered)
    if settings.failure_policy:
        for webhook in find(rendered, "MutatingWebhookConfiguration", "injector")["webhooks"]:
            webhook["failurePolicy"] = settings.failure_policy
    return [_with_text(document, original) for document, original in zip(rendered, manifests, strict=True)]


def images(rendered: list[Document]) -> list[str]:
    """Every image that the mesh runs, each once: the control plane's, and the proxy that is put into pods."""
    deployments = (document.value for document in rendered if document.value["kind"] == "Deployment")
    ours = (
        container["image"] for value in deployments for container in value["spec"]["template"]["spec"]["containers"]
    )
    return sorted({*ours, installation(rendered).proxy_image})


def installation(rendered: list[Document]) -> Installation:
    """The installation's settings, as the ConfigMap among the objects says them."""
    documents = find(rendered, "ConfigMap", "injector-installation")
    return parse_installation(documents["data"][INSTALLATION_KEY])


def parse_installation(text: str, source: str = INSTALLATION_KEY) -> Installation:
    """An installation from the text of `installation.yaml`; raises InstallationError."""
    from injector.cli.documents.read import read_documents

    documents, faults = read_documents(text.encode(), source)
    if faults:
        raise InstallationError(tuple(map(str, faults)))
    return Installation.parse(documents[0].value if documents else None)


def _with_text(document: Document, original: Document) -> Document:
    if document.value == original.value:
        return original
    return Document(document.source, document.line, to_yaml(document.value), document.value)


def _apply_installation(rendered: list[Document], settings: InstallSettings) -> str:
    """Settings into the ConfigMap; returns its text. Raises InstallationError."""
    data = find(rendered, "ConfigMap", "injector-installation")["data"]
    before = installation(rendered)
    mapping = before.to_mapping()
    mapping["proxyImage"] = image(mapping["proxyImage"], settings, settings.proxy_digest)
    mapping["extraEnv"] |= settings.extra_env
    mapping["defaults"] |= settings.defaults
    for key, value in (
        ("imagePullPolicy", settings.image_pull_policy),
        ("imagePullSecret", settings.image_pull_secret),
        ("proxyUid", settings.proxy_uid),
        ("trustDomain", settings.trust_domain),
        ("networks", list(settings.networks) or None),
        ("identity", {"given": True} if settings.identity_given else None),
    ):
        if value is not None:
            mapping[key] = value
    after = Installation.parse(mapping)
    if after != before:
        data[INSTALLATION_KEY] = to_yaml(after.to_mapping())
    text: str = data[INSTALLATION_KEY]
    return text


def image(reference: str, settings: InstallSettings, digest: str | None) -> str:
    """The reference in the settings' registry, with their tag and digest."""
    name, _, tag = reference.rpartition("/")[2].partition(":")
    registry = settings.registry.rstrip("/") if settings.registry is not None else reference.rpartition("/")[0]
    return f"{registry}/{name}:{settings.tag or tag}" + (f"@{digest}" if digest else "")


def _apply_to_deployment(deployment: dict[str, Any], settings: InstallSettings, checksum: str) -> None:
    template = deployment["spec"]["template"]
    template["metadata"]["annotations"][CHECKSUM] = checksum
    if settings.image_pull_secret:
        template["spec"]["imagePullSecrets"] = [{"name": settings.image_pull_secret}]
    for container in template["spec"]["containers"]:
        container["image"] = image(container["image"], settings, settings.controller_digest)
        if settings.image_pull_policy:
            container["imagePullPolicy"] = settings.image_pull_policy


def _apply_ports(rendered: list[Document], settings: InstallSettings) -> None:
    container = find(rendered, "Deployment", "injector-webhook")["spec"]["template"]["spec"]["containers"][0]
    ports = {"https": settings.webhook_port, "admin": settings.webhook_admin_port}
    flags = {
        f"--port={WEBHOOK_PORT}": f"--port={ports['https']}",
        f"--admin-port={ADMIN_PORT}": f"--admin-port={ports['admin']}",
    }
    container["args"] = [flags.get(argument, argument) for argument in container["args"]]
    for port in container["ports"]:
        port["containerPort"] = ports[port["name"]]
    _open(rendered, "injector-webhook", "ingress", [settings.webhook_port])
    _open(rendered, "injector-admin", "ingress", sorted({ADMIN_PORT, settings.webhook_admin_port}))
    _open(rendered, "injector-egress", "egress", sorted({*API_SERVER_PORTS, *settings.api_server_ports}))


def _open(rendered: list[Document], policy: str, direction: str, ports: list[int]) -> None:
    """The last rule of a policy opens these TCP ports."""
    rules = find(rendered, "NetworkPolicy", policy)["spec"][direction]
    rules[-1]["ports"] = [{"protocol": "TCP", "port": port} for port in ports]


def _apply_host_network(rendered: list[Document]) -> None:
    """Host ports: no two replicas on a node, so a rollout must stop one before it starts the next."""
    deployment = find(rendered, "Deployment", "injector-webhook")
    pod = deployment["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    # Names of Services are still resolved, which a host-network pod does not do by default.
    pod["dnsPolicy"] = "ClusterFirstWithHostNet"
    deployment["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    # Pod Security: baseline already forbids the host's network. Audit and warn stay, and name exactly that.
    find(rendered, "Namespace", "injector-system")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = (
        "privileged"
    )


def _image_faults(settings: InstallSettings) -> list[str]:
    faults = []
    for option, value, form, expected in (
        (
            "--registry",
            settings.registry and settings.registry.rstrip("/"),
            _REGISTRY,
            "a registry with a path, such as registry.example.com/mesh",
        ),
        ("--tag", settings.tag, _TAG, "a tag, such as 0.1.0"),
        ("--proxy-digest", settings.proxy_digest, _DIGEST, "sha256: and 64 hexadecimal digits"),
        ("--controller-digest", settings.controller_digest, _DIGEST, "sha256: and 64 hexadecimal digits"),
    ):
        if value is not None and not form.fullmatch(value):
            faults.append(f"{option}: expected {expected}, got {value!r}")
    return faults


def _port_faults(settings: InstallSettings) -> list[str]:
    if settings.webhook_port != settings.webhook_admin_port:
        return []
    return [f"--webhook-port and --webhook-admin-port: expected two ports, got {settings.webhook_port} for both"]
