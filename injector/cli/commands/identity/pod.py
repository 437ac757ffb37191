"""`injector identity pod`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, PodNamespaceOption, Report, ReportOption, examples

if TYPE_CHECKING:
    from injector.cli.wire import Shown
    from injector.kube.client import KubeClient

NAME: Final = "pod"
EXAMPLES: Final = examples("injector identity pod web-5d4f8c7d9b-x2x4z -n shop", "injector identity pod web-0 -o json")


def run(
    pod: Annotated[str, typer.Argument(help="The pod.", metavar="POD")],
    *,
    namespace: PodNamespaceOption = None,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Show the certificate that a pod's proxy shows on the wire: who it says it is, until when, and who vouches for it.

    It opens a connection to the proxy's port 4143 by way of the API server, as `kubectl port-forward` does, and needs
    the same right. The proxy counts it as a handshake without a certificate.
    """
    from injector.cli.cluster import in_cluster
    from injector.cli.identity import PUBLISHED
    from injector.cli.wire import read_shown, shown_certificate
    from injector.inject.names import INBOUND_PORT, SYSTEM_NAMESPACE
    from injector.kube.portforward import forwarded
    from injector.kube.resources import CONFIG_MAPS

    async def look(kube: "KubeClient") -> "Shown":
        published = await kube.get(CONFIG_MAPS, namespace=SYSTEM_NAMESPACE, name=PUBLISHED)
        issuer = (published.get("data") or {}).get("issuer.crt", "")
        async with forwarded(kube, namespace=namespace or "default", pod=pod, port=INBOUND_PORT) as connection:
            return read_shown(await shown_certificate(connection), issuer.encode())

    _show(in_cluster(kubeconfig, context, look), output)


def _show(shown: "Shown", output: Report) -> None:
    import dataclasses
    import datetime

    from injector.cli.documents.write import to_json
    from injector.cli.identity import SHORT, left
    from injector.cli.terminal import emit, show

    if output is Report.JSON:
        moments = {name: getattr(shown, name).isoformat() for name in ("not_before", "not_after")}
        emit(to_json(dataclasses.asdict(shown) | moments))
        return
    now = datetime.datetime.now(datetime.UTC)
    show(f"identity     {', '.join(shown.identities) or 'none'}")
    show(f"fingerprint  {shown.fingerprint}")
    show(f"valid        until {shown.not_after:%Y-%m-%d %H:%M} UTC, {left(shown.not_after, now)}")
    vouched = f"the mesh's issuer, {shown.signed_by[:SHORT]}" if shown.signed_by else "not the mesh's present issuer"
    show(f"signed by    {vouched}")
