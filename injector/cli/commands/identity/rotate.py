"""`injector identity rotate`."""

import uuid
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, duration, examples
from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    from injector.cli.identity import IdentityState
    from injector.kube.client import KubeClient

NAME: Final = "rotate"
EXAMPLES: Final = examples(
    "injector identity rotate issuer", "injector identity rotate root", "injector identity rotate root --force"
)


class Kind(StrEnum):
    """What is rotated."""

    ISSUER = "issuer"
    ROOT = "root"


KindArgument = Annotated[
    Kind, typer.Argument(metavar="issuer|root", help="What is replaced: the issuer's key, or the root with it.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Go on past pods that are behind; they lose the mesh until they are restarted.")
]
TimeoutOption = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="DURATION", help="How long to wait, such as 10m; else as long as it takes."),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Only ask for it; `injector identity roots` shows how far it is.")
]


def run(
    kind: KindArgument,
    *,
    force: ForceOption = False,
    timeout: TimeoutOption = None,
    detach: DetachOption = False,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Replace the issuer's key, or the root, while everything runs; wait until it is done.

    The controller does the work, in steps that it resumes wherever it was interrupted: a new root goes everywhere first
    and signs only once every running meshed pod accepts it; the old one goes once every certificate is of the new one.
    Pods that hold it up are named. Interrupting this command does not interrupt the rotation.

    With everything expired: `injector identity rotate root --force`, then restart the pods that it names.
    """
    from injector.cli import identity
    from injector.cli.cluster import in_cluster
    from injector.cli.rotation import ask, follow
    from injector.cli.terminal import show
    from injector.inject.names import SYSTEM_NAMESPACE
    from injector.kube.resources import CONFIG_MAPS

    request = str(uuid.uuid4())

    async def state(kube: "KubeClient") -> "IdentityState":
        return identity.read_state(await kube.get(CONFIG_MAPS, namespace=SYSTEM_NAMESPACE, name=identity.PUBLISHED))

    async def rotate(kube: "KubeClient") -> None:
        if (await state(kube)).given:
            raise CommandError(
                "root and issuer are given by you: renew them where they come from, or print them anew with "
                "`injector install --root-ca FILE --issuer-certificate FILE --issuer-key FILE`"
            )
        await ask(kube, request, kind.value, force=force)
        show(f"asked for: rotation of the {kind.value}, {request}")
        if not detach:
            await follow(lambda: state(kube), request, timeout)

    in_cluster(kubeconfig, context, rotate)
