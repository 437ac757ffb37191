"""The objects that hold the mesh's roots, read into plain data and written back (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from cryptography import x509

from injector.controller.objects import LABELS, decoded, join, secret_object
from injector.controller.roots.record import Record, read_command, read_record, rotation_json
from injector.pki import Certificate, Pair, read_bundle, read_pair, signed_by
from injector.pki.certificates import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from injector.controller.roots.record import Command
    from injector.kube.client import Object

ROOT_SECRET = "injector-identity-root"  # noqa: S105 - the name of a Secret, not its content
PUBLISHED = "injector-identity"
REQUEST = "injector-identity-request"
COMMAND = "injector-identity-rotation"
GIVEN = "injector-identity-given"

ROOTS_KEY = "roots.pem"
ISSUER_KEY = "issuer.crt"
STATE_KEY = "state.json"
CSR_KEY = "csr.pem"
COMMAND_KEY = "request.json"

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """The root Secret. `version` is its resourceVersion: a change is made to what was read, or not at all."""

    version: str = ""
    current: Pair | None = None
    next: Pair | None = None
    previous: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """ConfigMap injector-identity: the bundle, the issuer's chain (its own certificate first), and the record."""

    version: str = ""
    roots: tuple[Certificate, ...] = ()
    chain: tuple[Certificate, ...] = ()
    record: Record = field(default_factory=Record)
    data: Mapping[str, str] = field(default_factory=dict)
    """As it stands there, to know whether what is to be written differs."""

    @property
    def issuer(self) -> Certificate | None:
        """The issuer that is wanted now."""
        return self.chain[0] if self.chain else None


@dataclass(frozen=True, slots=True)
class Seen:
    """The objects as read: the root Secret, what is published, the issuer's request, and a person's."""

    kept: Kept = field(default_factory=Kept)
    published: Published = field(default_factory=Published)
    request: bytes = b""
    wish: Command | None = None


def read_kept(secret: Object) -> Kept:
    """The root Secret's content; whatever is damaged counts as missing."""
    data = decoded(secret)
    return Kept(
        secret["metadata"]["resourceVersion"],
        read_pair(data.get("root.crt"), data.get("root.key")),
        read_pair(data.get("next.crt"), data.get("next.key")),
        read_bundle(data.get("previous.crt", b"")),
    )


def read_published(config_map: Object) -> Published:
    """What was published; whatever is damaged counts as missing."""
    data: dict[str, str] = config_map.get("data") or {}
    return Published(
        config_map["metadata"]["resourceVersion"],
        read_bundle(data.get(ROOTS_KEY, "").encode()),
        read_bundle(data.get(ISSUER_KEY, "").encode()),
        read_record(data.get(STATE_KEY, "")),
        data,
    )


def read_request(secret: Object) -> bytes:
    """The issuer's request (PKCS 10, PEM), as it came; who signs it judges it."""
    return decoded(secret).get(CSR_KEY, b"")


def read_wish(config_map: Object) -> Command | None:
    """What a person asked for."""
    return read_command((config_map.get("data") or {}).get(COMMAND_KEY, ""))


def read_given(config_map: Object) -> bytes:
    """The roots that the user gave, as they came."""
    text: str = (config_map.get("data") or {}).get(ROOTS_KEY, "")
    return text.encode()


def kept_secret(kept: Kept) -> Object:
    """The root Secret to write, in place of the version that was read."""
    data: dict[str, bytes] = {}
    for name, pair in (("root", kept.current), ("next", kept.next)):
        if pair is not None:
            data |= {f"{name}.crt": pair.certificate.pem, f"{name}.key": pair.key}
    if kept.previous:
        data["previous.crt"] = join(kept.previous)
    return secret_object(ROOT_SECRET, "Opaque", data, kept.version)


@dataclass(frozen=True, slots=True)
class Publication:
    """What ConfigMap injector-identity is to say. `roles` are the roots with what each is for; `faults` what is wrong,
    a sentence each."""

    given: bool
    roles: tuple[tuple[Certificate, str], ...]
    chain: tuple[Certificate, ...]
    record: Record
    faults: tuple[str, ...] = ()

    def data(self) -> dict[str, str]:
        """The ConfigMap's data. The same facts give the same bytes."""
        texts = {
            ROOTS_KEY: join([root for root, _ in self.roles]).decode(),
            ISSUER_KEY: join(self.chain).decode(),
            STATE_KEY: orjson.dumps(self._state(), option=orjson.OPT_INDENT_2).decode() + "\n",
        }
        return {key: text for key, text in texts.items() if text}

    def _state(self) -> dict[str, Any]:
        current = [root.id for root, role in self.roles if role == "current"]
        return {
            "version": STATE_VERSION,
            "mode": "given" if self.given else "made",
            "currentRoot": current[0] if current else "",
            "roots": [_dates(root) | {"role": role} for root, role in self.roles],
            "issuer": _dates(self.chain[0]) if self.chain else None,
            "issuerWanted": self.record.issuer_wanted,
            "command": self.record.command,
            "faults": list(self.faults),
            "rotation": rotation_json(self.record.rotation),
        }


def _dates(certificate: Certificate) -> dict[str, str]:
    return {
        "fingerprint": certificate.id,
        "notBefore": certificate.not_before.isoformat(),
        "notAfter": certificate.not_after.isoformat(),
    }


def published_config_map(data: dict[str, str], version: str) -> Object:
    """ConfigMap injector-identity to write, in place of the version that was read."""
    metadata: Object = {"name": PUBLISHED, "labels": LABELS}
    if version:
        metadata["resourceVersion"] = version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def signer(issuer: Certificate | None, roots: Iterable[Certificate | None]) -> str | None:
    """The id of the root that signed the issuer, of those given."""
    if issuer is None:
        return None
    return next((root.id for root in roots if root is not None and signed_by(issuer, root)), None)


def answered(request: bytes, issuer: Certificate | None) -> bool:
    """Whether the issuer's certificate is for the request's key. What is no request needs no answer here."""
    try:
        wanted = x509.load_pem_x509_csr(request).public_key()
    except UNREADABLE:
        return True
    return issuer is not None and x509.load_pem_x509_certificate(issuer.pem).public_key() == wanted
