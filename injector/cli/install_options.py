"""The options of `injector install`, one type each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer


class Objects(StrEnum):
    """How objects are printed."""

    YAML = "yaml"
    JSON = "json"


class PullPolicy(StrEnum):
    """When the kubelet asks the registry."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class FailurePolicy(StrEnum):
    """What the API server does with a pod that asked for the mesh when no webhook answers."""

    FAIL = "Fail"
    IGNORE = "Ignore"


_IMAGES: Final = "Images"
_REVIEWS: Final = "Reviews"
_PODS: Final = "What pods get"
_IDENTITY: Final = "Identity"
_PORTS: Final = {"min": 1, "max": 65535}


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Registry: TypeAlias = Annotated[str | None, _option(_IMAGES, "Where the images are.")]
Tag: TypeAlias = Annotated[str | None, _option(_IMAGES, "Tag of the images.")]
ProxyDigest: TypeAlias = Annotated[str | None, _option(_IMAGES, "Pin the proxy image: sha256:…")]
ControllerDigest: TypeAlias = Annotated[str | None, _option(_IMAGES, "Pin the controller image: sha256:…")]
ImagePullPolicy: TypeAlias = Annotated[PullPolicy | None, _option(_IMAGES, "Of all images.")]
ImagePullSecret: TypeAlias = Annotated[
    str | None,
    _option(_IMAGES, "Secret for the registry. Injected pods name it too, so it must be in their namespaces."),
]
ListImages: TypeAlias = Annotated[
    bool, _option(_IMAGES, "Print only the images, a line each (to mirror them).", "--list-images")
]
FailurePolicyOption: TypeAlias = Annotated[
    FailurePolicy | None,
    _option(
        _REVIEWS, "While no webhook answers, a pod that asked for the mesh waits (Fail) or starts without (Ignore)."
    ),
]
WebhookPort: TypeAlias = Annotated[
    int, _option(_REVIEWS, "Port of the webhook's pods; firewalls of private control planes open only some.", **_PORTS)
]
WebhookAdminPort: TypeAlias = Annotated[
    int, _option(_REVIEWS, "Their health and metrics; with --host-network a port of the node.", **_PORTS)
]
HostNetwork: TypeAlias = Annotated[
    bool,
    _option(_REVIEWS, "Webhook in the nodes' network, for control planes that cannot reach pods.", "--host-network"),
]
ApiServerPort: TypeAlias = Annotated[
    list[int] | None,
    _option(_REVIEWS, "Port behind the API server's Service, besides 443 and 6443. Repeatable.", **_PORTS),
]
ProxyUid: TypeAlias = Annotated[
    int | None, _option(_PODS, "User id of the proxy; no container of a meshed pod may run as it.")
]
Default: TypeAlias = Annotated[
    list[str] | None,
    _option(_PODS, "Default of a setting, such as log-level=debug (see the README). Repeatable.", metavar="KEY=VALUE"),
]
ExtraEnv: TypeAlias = Annotated[
    list[str] | None, _option(_PODS, "Environment variable for every proxy. Repeatable.", metavar="NAME=VALUE")
]
TrustDomain: TypeAlias = Annotated[
    str | None,
    _option(
        _IDENTITY,
        "First part of every identity: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT. To change it later is to "
        "distrust every running pod until it restarts.",
    ),
]
Network: TypeAlias = Annotated[
    list[str] | None,
    _option(
        _IDENTITY,
        "A range of the cluster's pods or Services, such as 10.244.0.0/16. Without any they are read from the cluster. "
        "Repeatable.",
        metavar="CIDR",
    ),
]
RootCa: TypeAlias = Annotated[
    Path | None,
    _option(
        _IDENTITY,
        "Roots of your own, PEM; the mesh then makes none. Without the two options below you keep the Secret "
        "injector-identity-issuer (cert-manager does).",
        metavar="FILE",
    ),
]
IssuerCertificate: TypeAlias = Annotated[
    Path | None,
    _option(_IDENTITY, "An issuer under those roots, PEM, then what stands between it and them.", metavar="FILE"),
]
IssuerKey: TypeAlias = Annotated[
    Path | None, _option(_IDENTITY, "Its key, PEM. It is printed with the objects.", metavar="FILE")
]
OutputOption: TypeAlias = Annotated[Objects, typer.Option("--output", "-o", help="How to print the objects.")]
