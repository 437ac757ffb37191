"""PURE. Root and issuer of the user's own, as the objects in which the mesh reads them."""

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from injector.cli.documents.read import Document
from injector.cli.documents.write import to_yaml
from injector.cli.render import SettingsError
from injector.inject.names import SYSTEM_NAMESPACE

ROOTS: Final = "injector-identity-given"
ISSUER: Final = "injector-identity-issuer"


@dataclass(frozen=True, slots=True)
class Given:
    """What was given, PEM; without an issuer its Secret is somebody else's to keep, such as cert-manager's."""

    roots: bytes
    chain: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


def given_documents(given: Given, now: datetime) -> list[Document]:
    """ConfigMap and Secret to apply with the mesh's other objects. Raises SettingsError where they cannot work: nobody
    would get a certificate from them."""
    from injector.pki import faults_of_issuer, faults_of_roots

    faults = [f"--root-ca: {fault}" for fault in faults_of_roots(given.roots, now)]
    if given.chain is not None and given.key is not None:
        faults += [f"--issuer-certificate: {one}" for one in faults_of_issuer(given.chain, given.key, given.roots, now)]
    if faults:
        raise SettingsError(faults)
    objects = [_object("ConfigMap", ROOTS, {"roots.pem": given.roots.decode()})]
    if given.chain is not None and given.key is not None:
        pair = {"tls.crt": given.chain, "tls.key": given.key}
        data = {name: base64.b64encode(content).decode() for name, content in pair.items()}
        objects.append(_object("Secret", ISSUER, data) | {"type": "kubernetes.io/tls"})
    return [Document("install", 1, to_yaml(value), value) for value in objects]


def _object(kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "injector"}
    metadata = {"name": name, "namespace": SYSTEM_NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}
