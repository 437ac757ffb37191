"""`injector install`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from injector.cli import install_options as options
from injector.cli.options import examples, key_values
from injector.cli.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from injector.cli.documents.read import Document

NAME: Final = "install"
EXAMPLES: Final = examples(
    "injector install | kubectl apply -f -",
    "injector install --registry registry.example.com/mesh --image-pull-secret registry | kubectl apply -f -",
    "injector install --list-images",
    "injector install --default log-level=debug --default proxy-cpu-limit=1 | kubectl diff -f -",
)


def run(
    *,
    registry: options.Registry = None,
    tag: options.Tag = None,
    proxy_digest: options.ProxyDigest = None,
    controller_digest: options.ControllerDigest = None,
    image_pull_policy: options.ImagePullPolicy = None,
    image_pull_secret: options.ImagePullSecret = None,
    list_images: options.ListImages = False,
    failure_policy: options.FailurePolicyOption = None,
    webhook_port: options.WebhookPort = 8443,
    webhook_admin_port: options.WebhookAdminPort = 8080,
    host_network: options.HostNetwork = False,
    api_server_port: options.ApiServerPort = None,
    proxy_uid: options.ProxyUid = None,
    default: options.Default = None,
    extra_env: options.ExtraEnv = None,
    trust_domain: options.TrustDomain = None,
    network: options.Network = None,
    root_ca: options.RootCa = None,
    issuer_certificate: options.IssuerCertificate = None,
    issuer_key: options.IssuerKey = None,
    output: options.OutputOption = options.Objects.YAML,
) -> None:
    """Print the objects that make up the mesh, for `kubectl apply -f -`.

    Nothing is generated: the same options print the same bytes each time, so the output can be kept in Git. Without
    options they are the objects of `kubectl apply -k manifests`. Certificates are made in the cluster, by the mesh.
    """
    from injector.cli.manifests import load_manifests
    from injector.cli.render import InstallSettings, SettingsError, images, render
    from injector.cli.terminal import emit, note

    settings = InstallSettings(
        registry=registry,
        tag=tag,
        proxy_digest=proxy_digest,
        controller_digest=controller_digest,
        image_pull_policy=image_pull_policy and image_pull_policy.value,
        image_pull_secret=image_pull_secret,
        failure_policy=failure_policy and failure_policy.value,
        webhook_port=webhook_port,
        webhook_admin_port=webhook_admin_port,
        host_network=host_network,
        api_server_ports=tuple(api_server_port or ()),
        proxy_uid=proxy_uid,
        defaults=key_values("--default", default),
        extra_env=key_values("--extra-env", extra_env),
        trust_domain=trust_domain,
        identity_given=root_ca is not None,
        networks=tuple(network or ()),
    )
    try:
        rendered = [*render(load_manifests(), settings), *_given(root_ca, issuer_certificate, issuer_key)]
    except SettingsError as bad:
        raise CommandError(*bad.faults, code=ExitCode.USAGE) from bad
    if list_images:
        emit("".join(f"{image}\n" for image in images(rendered)))
        return
    emit(_text(rendered, output))
    if sys.stdout.isatty():
        note("Nothing is installed yet: injector install | kubectl apply -f -")


def _given(root_ca: Path | None, certificate: Path | None, key: Path | None) -> list["Document"]:
    if root_ca is None and certificate is None and key is None:
        return []
    from datetime import UTC, datetime

    from injector.cli.given import Given, given_documents
    from injector.cli.render import SettingsError

    if root_ca is None or (certificate is None) != (key is None):
        raise SettingsError(["expected --root-ca, alone or with both --issuer-certificate and --issuer-key"])
    contents, faults = [], []
    for file in (root_ca, certificate, key):
        try:
            contents.append(None if file is None else file.read_bytes())
        except OSError as error:
            faults.append(f"{file}: {error.strerror or error}")
    if faults or contents[0] is None:
        raise SettingsError(faults)
    return given_documents(Given(contents[0], *contents[1:]), datetime.now(UTC))


def _text(rendered: list["Document"], output: options.Objects) -> str:
    from injector.cli.documents.write import join, to_json

    if output is options.Objects.JSON:
        return to_json({"apiVersion": "v1", "kind": "List", "items": [document.value for document in rendered]})
    return join([document.text for document in rendered])
