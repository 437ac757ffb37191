"""`injector install --root-ca …`: root and issuer of the user's own."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from injector.cli.manifests import find
from injector.pki import faults_of_issuer, issuer_request, make_root, new_key, sign_issuer
from tests.cli.conftest import Run
from tests.cli.test_install_command import installed, settings

NOW = datetime.now(UTC)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root, key = make_root(NOW, timedelta(days=100)), new_key()
    chain = sign_issuer(root, issuer_request(key, NOW), NOW, timedelta(days=50))
    assert faults_of_issuer(chain, key, root.certificate.pem, NOW) == []
    for name, content in {
        "root.pem": root.certificate.pem,
        "issuer.pem": chain,
        "key.pem": key,
        "old.pem": make_root(NOW - timedelta(days=9), timedelta(days=3)).certificate.pem,
        "other.pem": make_root(NOW, timedelta(days=9)).certificate.pem,
        "other-key.pem": new_key(),
    }.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_given_root_and_issuer_are_printed_where_the_mesh_reads_them(run: Run, files: Path) -> None:
    options = ["--root-ca", "root.pem", "--issuer-certificate", "issuer.pem", "--issuer-key", "key.pem"]
    documents = installed(run, *(str(files / word) if word.endswith(".pem") else word for word in options))
    assert settings(documents).identity_given
    roots = find(documents, "ConfigMap", "injector-identity-given")
    assert roots["metadata"]["namespace"] == "injector-system"
    assert roots["data"]["roots.pem"].encode() == (files / "root.pem").read_bytes()
    secret = find(documents, "Secret", "injector-identity-issuer")
    assert secret["type"] == "kubernetes.io/tls"
    for key, name in (("tls.crt", "issuer.pem"), ("tls.key", "key.pem")):
        assert base64.b64decode(secret["data"][key]) == (files / name).read_bytes()


def test_with_the_roots_alone_the_issuer_is_somebody_elses_to_keep(run: Run, files: Path) -> None:
    documents = installed(run, "--root-ca", str(files / "root.pem"))
    assert settings(documents).identity_given
    with pytest.raises(KeyError):
        find(documents, "Secret", "injector-identity-issuer")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--root-ca", "old.pem"], ["expired"]),
        (["--root-ca", "key.pem"], ["expected at least one certificate"]),
        (["--root-ca", "nothing.pem"], ["nothing.pem: No such file"]),
        (["--issuer-certificate", "issuer.pem", "--issuer-key", "key.pem"], ["expected --root-ca"]),
        (["--root-ca", "root.pem", "--issuer-key", "key.pem"], ["both --issuer-certificate and --issuer-key"]),
        (
            ["--root-ca", "root.pem", "--issuer-certificate", "issuer.pem", "--issuer-key", "other-key.pem"],
            ["is not that of its certificate"],
        ),
        (
            ["--root-ca", "other.pem", "--issuer-certificate", "issuer.pem", "--issuer-key", "key.pem"],
            ["--issuer-certificate: "],
        ),
        (
            ["--root-ca", "old.pem", "--issuer-certificate", "issuer.pem", "--issuer-key", "other-key.pem"],
            ["--root-ca: ", "--issuer-certificate: "],
        ),
    ],
)
def test_what_cannot_work_is_told_all_at_once_and_never_the_key(
    run: Run, files: Path, words: list[str], parts: list[str]
) -> None:
    result = run("install", *(str(files / word) if word.endswith(".pem") else word for word in words))
    assert (result.code, result.out) == (2, "")
    for part in parts:
        assert part in result.err
    assert "PRIVATE" not in result.err
