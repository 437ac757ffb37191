"""The three objects between the issuer and the roots' holder, read into plain data and written back (pure).

The Secret holds the issuer's key, the public ConfigMap what the controller says (roots, and the issuer certificate that
it has signed), and the request what the issuer asks it to sign. There is nothing secret in a request; it is a Secret
because the right to write it is the right to be an issuer, and many add-ons may write any ConfigMap.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from injector.pki import read_bundle, read_signer

if TYPE_CHECKING:
    from injector.kube.client import Object
    from injector.pki import Certificate, Signer

ISSUER_SECRET: Final = "injector-identity-issuer"  # noqa: S105 - the name of a Secret, not its content
PUBLIC_CONFIG_MAP: Final = "injector-identity"
REQUEST_SECRET: Final = "injector-identity-request"  # noqa: S105 - a name, too
ROOTS_KEY: Final = "roots.pem"
ISSUER_KEY: Final = "issuer.crt"
STATE_KEY: Final = "state.json"
REQUEST_KEY: Final = "csr.pem"
NEXT_KEY: Final = "next.key"
GENERATION: Final = "injector.mesh/issuer-generation"
"""On the Secret: the last wish for another issuer (state.json, issuerWanted) that its newest key was made for."""

# Counters are seconds since 1970 at most; more digits are somebody's joke.
_COUNT: Final = re.compile("[0-9]{1,18}")
_LABELS: Final = {"app.kubernetes.io/part-of": "injector", "app.kubernetes.io/managed-by": "injector-identity"}


@dataclass(frozen=True, slots=True)
class Kept:
    """The Secret. `signer` is None where certificate or key is missing, damaged, or not the other's."""

    version: str = ""
    signer: Signer | None = None
    chain: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    next_key: bytes = field(default=b"", repr=False)
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Public:
    """What the controller says: the roots trusted now, which of them signs, the issuer certificate that it has signed
    last (with those below the root), and how often another issuer was wished for."""

    roots: bytes = b""
    current_root: str = ""
    issuer: bytes = b""
    wanted: int = 0

    def root(self) -> Certificate | None:
        """The root that signs now; None where nobody knows."""
        return next((root for root in read_bundle(self.roots) if root.id == self.current_root), None)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that lies before the controller."""

    version: str = ""
    csr: bytes = b""


def read_kept(secret: Object) -> Kept:
    """The Secret's content; whatever is damaged counts as missing."""
    data, metadata = _decoded(secret), secret["metadata"]
    chain, key = data.get("tls.crt", b""), data.get("tls.key", b"")
    generation = (metadata.get("annotations") or {}).get(GENERATION, "")
    return Kept(
        version=metadata["resourceVersion"],
        signer=read_signer(chain, key),
        chain=chain,
        key=key,
        next_key=data.get(NEXT_KEY, b""),
        generation=int(generation) if _COUNT.fullmatch(generation) else 0,
    )


def read_public(config_map: Object) -> Public:
    """The public ConfigMap's content; a state that cannot be read is none."""
    data = config_map.get("data") or {}
    try:
        state: Any = json.loads(data.get(STATE_KEY) or "{}")
    except ValueError:
        state = {}
    state = state if isinstance(state, dict) else {}
    wanted = state.get("issuerWanted", 0)
    return Public(
        roots=str(data.get(ROOTS_KEY, "")).encode(),
        current_root=str(state.get("currentRoot") or ""),
        issuer=str(data.get(ISSUER_KEY, "")).encode(),
        wanted=wanted if isinstance(wanted, int) else 0,
    )


def read_asked(secret: Object) -> Asked:
    """The request's Secret."""
    return Asked(secret["metadata"]["resourceVersion"], _decoded(secret).get(REQUEST_KEY, b""))


def secret(kept: Kept, *, chain: bytes, key: bytes, next_key: bytes, generation: int) -> Object:
    """The Secret to write in place of the one that was read; both of its type's keys must be there, if only empty."""
    data = {"tls.crt": chain, "tls.key": key} | ({NEXT_KEY: next_key} if next_key else {})
    metadata = _metadata(ISSUER_SECRET, kept.version) | {"annotations": {GENERATION: str(generation)}}
    encoded = {name: base64.b64encode(value).decode("ascii") for name, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata,
        "data": encoded,
    }


def request(asked: Asked, csr: bytes) -> Object:
    """The request's Secret to write in place of the one that was read."""
    metadata = _metadata(REQUEST_SECRET, asked.version)
    data = {REQUEST_KEY: base64.b64encode(csr).decode("ascii")}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def _metadata(name: str, version: str) -> Object:
    return {"name": name, "labels": _LABELS} | ({"resourceVersion": version} if version else {})


def _decoded(found: Object) -> dict[str, bytes]:
    data = {}
    for key, value in (found.get("data") or {}).items():
        try:
            data[key] = base64.b64decode(value)
        except ValueError:
            continue
    return data
