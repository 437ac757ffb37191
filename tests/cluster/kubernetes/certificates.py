"""Keys, certificates and kubeconfigs. One CA for the cluster, another for the aggregation layer's front proxy.

Everything is made in a temporary directory that is renamed when complete, so it is there whole or not at all.
"""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING

from .layout import API_PORT, API_SERVICE, FIRST, Layout, Node
from .shell import run

if TYPE_CHECKING:
    from pathlib import Path

DAYS = "3650"
API_NAMES = ",".join(
    [
        *(f"DNS:kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")),
        f"DNS:localhost,IP:127.0.0.1,IP:{API_SERVICE},IP:{FIRST.v4}",
    ]
)


def ensure(layout: Layout, nodes: list[Node]) -> None:
    """The cluster's keys, a certificate for every node, and the administrator's kubeconfig."""
    if not layout.pki.exists():
        fresh = layout.pki.with_name("pki.partial")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        _root(fresh, "ca")
        _root(fresh, "front-ca")
        run(["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=fresh)
        run(["openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"], cwd=fresh)
        _leaf(fresh, "apiserver", "/CN=kube-apiserver", API_NAMES)
        _leaf(fresh, "admin", "/O=system:masters/CN=admin", "DNS:admin")
        _leaf(fresh, "front", "/CN=front-proxy", "DNS:front", ca="front-ca")
        fresh.rename(layout.pki)
    _kubeconfig(layout, layout.kubeconfig, "admin")
    for node in nodes:
        if not (layout.pki / f"{node.name}.crt").exists():
            subject = f"/O=system:nodes/CN=system:node:{node.name}"
            _leaf(layout.pki, node.name, subject, f"DNS:{node.name},IP:{node.v4},IP:{node.v6}")
        layout.home(node).mkdir(exist_ok=True)
        _kubeconfig(layout, layout.home(node) / "kubeconfig", node.name)


def _root(folder: Path, name: str) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    run(["openssl", "req", "-x509", *key, "-out", f"{name}.crt", "-subj", f"/CN={name}", "-days", DAYS], cwd=folder)


def _leaf(folder: Path, name: str, subject: str, alternative_names: str, ca: str = "ca") -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    run(["openssl", "req", *key, "-out", f"{name}.csr", "-subj", subject], cwd=folder)
    usages = f"subjectAltName={alternative_names}\nextendedKeyUsage=serverAuth,clientAuth\n"
    (folder / f"{name}.ext").write_text(usages)
    partial = f"{name}.crt.partial"
    signer = ["-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", DAYS]
    files = ["-in", f"{name}.csr", "-out", partial, "-extfile", f"{name}.ext"]
    run(["openssl", "x509", "-req", *signer, *files], cwd=folder)
    (folder / partial).rename(folder / f"{name}.crt")


def _kubeconfig(layout: Layout, path: Path, user: str) -> None:
    """Write a kubeconfig with everything inside, so that it works wherever it is copied. JSON is YAML."""

    def embedded(name: str) -> str:
        return base64.b64encode((layout.pki / name).read_bytes()).decode()

    cluster = {"server": f"https://{FIRST.v4}:{API_PORT}", "certificate-authority-data": embedded("ca.crt")}
    keys = {"client-certificate-data": embedded(f"{user}.crt"), "client-key-data": embedded(f"{user}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": layout.name, "cluster": cluster}],
        "users": [{"name": user, "user": keys}],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": user}}],
        "current-context": layout.name,
    }
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(config, indent=1))
    partial.replace(path)
