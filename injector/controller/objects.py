"""The three objects that hold the webhook's certificates, read into plain data and written back (pure)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from injector.pki import Certificate, Pair, read_bundle, read_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from injector.kube.client import Object

AUTHORITY_SECRET = "injector-webhook-ca"  # noqa: S105 - the name of a Secret, not its content
SERVING_SECRET = "injector-webhook-tls"  # noqa: S105 - as above
CONFIGURATION = "injector"
SERVICE = "injector-webhook"
FIELD_MANAGER = "injector-controller"

# Secrets of which much depends are read again this often, however quiet the watch.
REREAD_SECONDS = 60.0

LABELS = {"app.kubernetes.io/part-of": "injector", "app.kubernetes.io/managed-by": FIELD_MANAGER}


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CA Secret. `version` is its resourceVersion: a change is made to the Secret that was read, or not at all."""

    version: str
    current: Pair | None
    next: Pair | None
    previous: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class ServingPair:
    """The serving Secret: the pair, and the CAs that came with it."""

    version: str
    pair: Pair | None
    issuers: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The webhook configuration: caBundle by entry (decoded, b"" where absent), its owners, and who else writes it."""

    bundles: tuple[tuple[str, bytes], ...]
    owners: tuple[str, ...]
    writers: tuple[str, ...]


def read_authorities(secret: Object) -> Authorities:
    """The CA Secret's content; whatever is damaged counts as missing."""
    data = decoded(secret)
    return Authorities(
        secret["metadata"]["resourceVersion"],
        read_pair(data.get("ca.crt"), data.get("ca.key")),
        read_pair(data.get("next.crt"), data.get("next.key")),
        read_bundle(data.get("previous.crt", b"")),
    )


def read_serving(secret: Object) -> ServingPair:
    """The serving Secret's content; whatever is damaged counts as missing."""
    data = decoded(secret)
    pair = read_pair(data.get("tls.crt"), data.get("tls.key"))
    return ServingPair(secret["metadata"]["resourceVersion"], pair, read_bundle(data.get("ca.crt", b"")))


def read_configuration(configuration: Object) -> Configuration:
    """What of a MutatingWebhookConfiguration is ours to keep."""
    metadata = configuration["metadata"]
    bundles = []
    for entry in configuration.get("webhooks") or ():
        try:
            bundle = base64.b64decode(entry["clientConfig"].get("caBundle") or "")
        except binascii.Error:
            bundle = b""
        bundles.append((entry["name"], bundle))
    owners = tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ())
    others = {field["manager"] for field in metadata.get("managedFields") or () if _writes_bundle(field)}
    return Configuration(tuple(bundles), owners, tuple(sorted(others - {FIELD_MANAGER})))


def _writes_bundle(field: dict[str, Any]) -> bool:
    return "f:caBundle" in str(field.get("fieldsV1"))


def authority_secret(current: Pair, following: Pair | None, previous: Sequence[Certificate], version: str) -> Object:
    """The CA Secret to write; with a `version`, in place of the one that was read."""
    data = {"ca.crt": current.certificate.pem, "ca.key": current.key}
    if following is not None:
        data |= {"next.crt": following.certificate.pem, "next.key": following.key}
    if previous:
        data["previous.crt"] = join(previous)
    return secret_object(AUTHORITY_SECRET, "Opaque", data, version)


def serving_secret(leaf: Pair, issuer: Certificate, version: str) -> Object:
    """The serving Secret to write; with a `version`, in place of the one that was read."""
    data = {"tls.crt": leaf.certificate.pem, "tls.key": leaf.key, "ca.crt": issuer.pem}
    return secret_object(SERVING_SECRET, "kubernetes.io/tls", data, version)


def bundle_patch(configuration: Configuration, bundle: bytes, namespace: str, namespace_uid: str) -> Object:
    """What is ours of the webhook configuration, for server-side apply: caBundle of each entry that is there, and the
    namespace as owner, so that deleting the namespace takes the webhook along and no API server asks in vain."""
    encoded = base64.b64encode(bundle).decode("ascii")
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": namespace_uid}
    entries = [{"name": name, "clientConfig": {"caBundle": encoded}} for name, _ in configuration.bundles]
    return {"metadata": {"name": CONFIGURATION, "ownerReferences": [owner]}, "webhooks": entries}


def join(certificates: Sequence[Certificate]) -> bytes:
    """One bundle, in the order given."""
    return b"".join(certificate.pem for certificate in certificates)


def serving_names(namespace: str) -> frozenset[str]:
    """The DNS names of the webhook's Service; API servers ask for the one that ends in .svc."""
    base = f"{SERVICE}.{namespace}"
    return frozenset({base, f"{base}.svc", f"{base}.svc.cluster.local"})


def secret_object(name: str, kind: str, data: dict[str, bytes], version: str) -> Object:
    """A Secret of ours to write; with a `version`, in place of the one that was read."""
    metadata: Object = {"name": name, "labels": LABELS}
    if version:
        metadata["resourceVersion"] = version
    encoded = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": encoded}


def decoded(secret: Object) -> dict[str, bytes]:
    """A Secret's data; what is not base64 counts as missing."""
    data = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            data[key] = base64.b64decode(value)
        except binascii.Error:
            continue
    return data
