"""What holds for a whole installation and nowhere else: in a pod author's hands it would be an escalation."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from injector.inject import annotations, quantity
from injector.inject.annotations import SETTINGS
from injector.inject.names import PROXY_UID, TRUST_DOMAIN

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
HIGHEST_UID: Final = 2**31 - 1
"""Kubernetes accepts user ids of 0 to 2^31-1 (validation.IsValidUserID)."""

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}")
_DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TRUST_DOMAIN: Final = re.compile(
    r"(?=.{1,128}\Z)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
)
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")
_FORBIDDEN_ENV: Final = {
    "LD_": "loads code into the proxy",
    "SSLKEYLOGFILE": "writes the proxy's session keys to a file",
    "INJECTOR_": "is the mesh's own; use the settings",
}
"""Prefixes of variables that would turn the proxy against its pod."""

_FIELDS: Final = {
    "proxyImage": "proxy_image",
    "imagePullPolicy": "image_pull_policy",
    "imagePullSecret": "image_pull_secret",
    "proxyUid": "proxy_uid",
    "extraEnv": "extra_env",
    "defaults": "defaults",
    "trustDomain": "trust_domain",
    "networks": "networks",
    "identity": "identity_given",
}

MOST_NETWORKS: Final = 64
"""A cluster has a pod range and a Service range a family; some have several. Every connection is compared with them."""


class InstallationError(ValueError):
    """Settings of the installation that cannot stand; `faults` lists every one, a sentence each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings of one installation. `defaults` maps annotation names without prefix to their texts."""

    proxy_image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secret: str | None = None
    proxy_uid: int = PROXY_UID
    extra_env: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    trust_domain: str = TRUST_DOMAIN
    """The first part of every identity: spiffe://<trust domain>/ns/<namespace>/sa/<service account>."""
    networks: tuple[str, ...] = ()
    """The cluster's pod and Service ranges, in CIDR form; empty where they are to be read from the cluster."""
    identity_given: bool = False
    """Whether root and issuer are the user's, in place of the controller's own."""

    @classmethod
    def parse(cls, mapping: Any) -> "Installation":
        """An installation from its YAML or JSON mapping; raises InstallationError with all faults."""
        if not isinstance(mapping, Mapping):
            raise InstallationError((f"installation: expected a mapping of settings, got {type(mapping).__name__}",))
        faults = list(_faults(mapping))
        if faults:
            raise InstallationError(tuple(faults))
        fields = {_FIELDS[name]: value for name, value in mapping.items()}
        if "networks" in fields:
            fields["networks"] = tuple(fields["networks"])
        if "identity_given" in fields:
            fields["identity_given"] = fields["identity_given"].get("given", False)
        return cls(**fields)

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `parse` reads back to an equal installation."""
        values = asdict(self) | {"networks": list(self.networks), "identity_given": {"given": self.identity_given}}
        return {name: values[field_name] for name, field_name in _FIELDS.items()}


def _faults(mapping: Mapping[str, Any]) -> list[str]:
    faults = [
        f"installation.{name}: unknown setting, expected one of {', '.join(_FIELDS)}"
        for name in mapping
        if name not in _FIELDS
    ]
    image = mapping.get("proxyImage")
    if not isinstance(image, str) or not _IMAGE.fullmatch(image):
        faults.append(f"installation.proxyImage: expected an image reference, got {image!r}")
    policy = mapping.get("imagePullPolicy", "IfNotPresent")
    if policy not in PULL_POLICIES:
        faults.append(f"installation.imagePullPolicy: expected {', '.join(PULL_POLICIES)}, got {policy!r}")
    secret = mapping.get("imagePullSecret")
    if secret is not None and not (isinstance(secret, str) and _DNS_NAME.fullmatch(secret)):
        faults.append(f"installation.imagePullSecret: expected the name of a Secret, got {secret!r}")
    uid = mapping.get("proxyUid", PROXY_UID)
    if not isinstance(uid, int) or isinstance(uid, bool) or not 1 <= uid <= HIGHEST_UID:
        faults.append(f"installation.proxyUid: expected a user id of 1 to {HIGHEST_UID} (never root), got {uid!r}")
    faults += [*_trust_domain_faults(mapping), *_network_faults(mapping), *_identity_faults(mapping)]
    return [*faults, *_env_faults(mapping.get("extraEnv", {})), *_defaults_faults(mapping.get("defaults", {}))]


def _trust_domain_faults(mapping: Mapping[str, Any]) -> Iterator[str]:
    domain = mapping.get("trustDomain", TRUST_DOMAIN)
    if not isinstance(domain, str) or not _TRUST_DOMAIN.fullmatch(domain):
        yield f"installation.trustDomain: expected a name of lower-case labels such as {TRUST_DOMAIN}, got {domain!r}"


def _network_faults(mapping: Mapping[str, Any]) -> Iterator[str]:
    networks = mapping.get("networks", [])
    if not isinstance(networks, list | tuple) or len(networks) > MOST_NETWORKS:
        yield f"installation.networks: expected a list of at most {MOST_NETWORKS} ranges such as 10.244.0.0/16"
        return
    for network in networks:
        try:
            if not isinstance(network, str) or str(ipaddress.ip_network(network)) != network:
                raise ValueError(network)
        except ValueError:
            yield f"installation.networks: expected ranges such as 10.244.0.0/16 or fd00:244::/48, got {network!r}"


def _identity_faults(mapping: Mapping[str, Any]) -> Iterator[str]:
    identity = mapping.get("identity", {})
    if not isinstance(identity, Mapping) or identity.keys() - {"given"}:
        yield f"installation.identity: expected a mapping with the one setting 'given', got {identity!r}"
    elif not isinstance(identity.get("given", False), bool):
        yield f"installation.identity.given: expected true or false, got {identity['given']!r}"


def _env_faults(extra_env: Any) -> list[str]:
    if not isinstance(extra_env, Mapping):
        return [f"installation.extraEnv: expected a mapping of names to texts, got {type(extra_env).__name__}"]
    faults = []
    for name, value in extra_env.items():
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
            faults.append(f"installation.extraEnv: expected a variable's name, got {name!r}")
        elif reason := forbidden_env(name):
            faults.append(f"installation.extraEnv.{name}: not allowed, for it {reason}")
        if not isinstance(value, str):
            faults.append(f"installation.extraEnv.{name}: expected a text, got {value!r}")
    return faults


def forbidden_env(name: str) -> str | None:
    """Why the proxy must not be given a variable of this name, or None where it may."""
    return next((reason for prefix, reason in _FORBIDDEN_ENV.items() if name.startswith(prefix)), None)


def _defaults_faults(defaults: Any) -> list[str]:
    if not isinstance(defaults, Mapping):
        return [f"installation.defaults: expected a mapping of settings to texts, got {type(defaults).__name__}"]
    keys = {key.name: key for key in SETTINGS}
    faults = []
    for name, value in defaults.items():
        key = keys.get(name)
        if key is None:
            faults.append(f"installation.defaults.{name}: unknown, expected one of {', '.join(keys)}")
            continue
        try:
            key.read(value.strip() if isinstance(value, str) else "\0")
        except ValueError as fault:
            faults.append("installation.defaults: " + annotations.bad_value(key, str(value), str(fault)))
    return faults or list(_limits_below_requests(defaults))


def _limits_below_requests(defaults: Mapping[str, str]) -> Iterator[str]:
    for resource in ("cpu", "memory"):
        request, limit = (defaults.get(f"proxy-{resource}-{part}", "").strip() for part in ("request", "limit"))
        if request and limit and quantity.parse(limit) < quantity.parse(request):
            yield (
                f"installation.defaults.proxy-{resource}-limit: expected at least proxy-{resource}-request "
                f"({request}), got {limit!r}"
            )
