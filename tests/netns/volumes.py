"""The two volumes that a sidecar reads: whom to trust, and who it is. As the controller and the issuer would fill them,
but without either: a sidecar that finds a good certificate is ready with nobody there."""

import ipaddress
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from injector import pki
from injector.api import mesh_pb2

TRUST_DOMAIN: Final = "cluster.local"
NAMESPACE: Final = "shop"
DAY: Final = timedelta(days=1)
HEADER: Final = b"injector destinations 1\n"
"""What the proxy's file of destinations begins with (discovery/store.rs)."""


class Authority:
    """A root and an issuer under it."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        root, key = pki.make_root(now, DAY), pki.new_key()
        issuer = pki.sign_issuer(root, pki.issuer_request(key, now), now, DAY)
        signer = pki.read_signer(issuer, key)
        assert signer is not None
        self.roots = root.certificate.pem
        self._signer = signer

    def identity(self, account: str) -> bytes:
        """A key and its chain, as the proxy keeps them: DER, one after the other."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = pki.SpiffeId(TRUST_DOMAIN, NAMESPACE, account)
        leaf = self._signer.issue(subject, key.public_key(), datetime.now(UTC), DAY)
        form = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return b"".join((key.private_bytes(*form), *leaf.chain))


@cache
def authority() -> Authority:
    """The one that all pods of a test run have in common."""
    return Authority()


class Volumes:
    """`injector-token` and `injector-identity` of one pod, readable by the proxy's user alone."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._root = Path(tempfile.mkdtemp(prefix="injector-volumes-"))
        self.token, self.identity = self._root / "token", self._root / "identity"
        for directory in (self._root, self.token, self.identity):
            directory.mkdir(mode=0o700, exist_ok=True)
            os.chown(directory, owner, owner)
        self.trust()

    @property
    def environment(self) -> dict[str, str]:
        return {"INJECTOR_TOKEN_DIRECTORY": str(self.token), "INJECTOR_IDENTITY_DIRECTORY": str(self.identity)}

    def trust(self, *, of: Authority | None = None, account: str = "default", networks: Iterable[str] = ()) -> None:
        """Whom the pod trusts, and who it is, from now on."""
        facts = {
            "version": 1,
            "trustDomain": TRUST_DOMAIN,
            "systemNamespace": "injector-system",
            "identity": [],
            "discovery": [],
            "networks": [*networks],
        }
        of = of or authority()
        self._write(self.token / "mesh.json", json.dumps(facts).encode())
        self._write(self.token / "roots.pem", of.roots)
        self._write(self.identity / "identity.der", of.identity(account))

    def know(self, destinations: Mapping[tuple[str, int], Iterable[mesh_pb2.Endpoint]]) -> None:
        """What a former process of the sidecar had heard from discovery."""
        content = HEADER
        for (ip, port), endpoints in destinations.items():
            known = mesh_pb2.Destination(
                address=address(ip, port),
                endpoints=mesh_pb2.Endpoints(
                    endpoints=endpoints, service=mesh_pb2.ServicePort(namespace=NAMESPACE, name="web")
                ),
            )
            message = known.SerializeToString()
            content += _varint(len(message)) + message
        self._write(self.identity / "destinations", content)

    def remove(self) -> None:
        shutil.rmtree(self._root)

    def _write(self, path: Path, content: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        os.chown(path, self._owner, self._owner)
        path.chmod(0o400)


def endpoint(ip: str, port: int, account: str | None = "default") -> mesh_pb2.Endpoint:
    """An endpoint whose proxy is this account; none: it has no proxy."""
    mesh = None if account is None else mesh_pb2.Mesh(namespace=NAMESPACE, service_account=account)
    return mesh_pb2.Endpoint(address=address(ip, port), mesh=mesh)


def address(ip: str, port: int) -> mesh_pb2.Address:
    return mesh_pb2.Address(ip=ipaddress.ip_address(ip).packed, port=port)


def _varint(number: int) -> bytes:
    """A length as protocol buffers write it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
