"""etcd, the API server, the controller manager, the scheduler and DNS, all on node 1."""

from __future__ import annotations

from . import daemons, network
from .layout import API_PORT, CLUSTER_DOMAIN, FIRST, POD_CIDRS, POD_MASK_V4, POD_MASK_V6, SERVICE_CIDRS, Layout
from .shell import Failure, run, succeeds, wait_until

READY_SECONDS = 90.0  # the API server needs 3 s on an idle machine; two busy cores take their time
DNS_READY = "127.0.0.1:8181"

COREFILE = """\
.:53 {{
  errors
  ready {ready}
  cache 5
  kubernetes {domain} in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
  }}
}}
"""


def kubectl(layout: Layout, *arguments: str) -> str:
    """Run kubectl as the administrator, from node 1."""
    return run([*_kubectl(layout), *arguments])


def is_ready(layout: Layout) -> bool:
    return succeeds([*_kubectl(layout), "get", "--raw=/readyz", "--request-timeout=2s"])


def start_api(layout: Layout) -> None:
    """etcd, the API server and the controller manager: enough to store, admit, authorize and collect garbage."""
    daemons.start(layout, "etcd", FIRST, _etcd(layout))
    daemons.start(layout, "kube-apiserver", FIRST, _api_server())
    _wait_for_api(layout)
    daemons.start(layout, "kube-controller-manager", FIRST, _controller_manager(layout))
    # Pods cannot be created before the controller manager has made their namespace's default account.
    wait_until(
        lambda: succeeds([*_kubectl(layout), "get", "serviceaccount", "default"]),
        seconds=READY_SECONDS,
        otherwise=lambda: daemons.why_not(layout, "kube-controller-manager", "made no default ServiceAccount"),
    )


def start_scheduling(layout: Layout) -> None:
    """The scheduler and DNS: what nodes and pods need beyond the API. DNS is waited for by `wait_for_dns`."""
    scheduler = ["kube-scheduler", f"--kubeconfig={layout.kubeconfig}", "--leader-elect=false"]
    daemons.start(layout, "kube-scheduler", FIRST, scheduler)
    corefile = layout.state / "Corefile"
    corefile.write_text(COREFILE.format(ready=DNS_READY, domain=CLUSTER_DOMAIN, kubeconfig=layout.kubeconfig))
    daemons.start(layout, "coredns", FIRST, ["coredns", "-conf", corefile])
    # What pods' resolv.conf is made from where a pod says `dnsPolicy: Default`.
    (layout.state / "resolv.conf").write_text(f"nameserver {FIRST.v4}\n")


def wait_for_dns(layout: Layout) -> None:
    wait_until(
        lambda: network.answers(layout.namespace(FIRST), f"http://{DNS_READY}/ready"),
        seconds=READY_SECONDS,
        otherwise=lambda: daemons.why_not(layout, "coredns", "does not answer"),
    )


def _kubectl(layout: Layout) -> list[str]:
    inside = ["nsenter", f"--net=/run/netns/{layout.namespace(FIRST)}"]
    return [*inside, str(layout.binaries / "kubectl"), f"--kubeconfig={layout.kubeconfig}"]


def _wait_for_api(layout: Layout) -> None:
    def ready() -> bool:
        for daemon in ("etcd", "kube-apiserver"):
            if not daemons.alive(layout, daemon):
                raise Failure(daemons.why_not(layout, daemon, "the API is not served"))
        return is_ready(layout)

    wait_until(
        ready,
        seconds=READY_SECONDS,
        otherwise=lambda: daemons.why_not(layout, "kube-apiserver", f"was not ready within {READY_SECONDS:.0f} s"),
    )


def _etcd(layout: Layout) -> list[str]:
    clients, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return [
        "etcd",
        f"--data-dir={layout.state / 'etcd'}",
        # The cluster's state is worth nothing after a power failure, and an fsync for each write costs half the speed.
        "--unsafe-no-fsync",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def _api_server() -> list[str]:
    return [
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={FIRST.v4}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_CIDRS}",
        "--tls-cert-file=apiserver.crt",
        "--tls-private-key-file=apiserver.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=Node,RBAC",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--kubelet-client-certificate=admin.crt",
        "--kubelet-client-key=admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        # Aggregated APIs and webhooks are dialled at their pods' addresses: the API server has a route to those.
        "--enable-aggregator-routing=true",
        "--proxy-client-cert-file=front.crt",
        "--proxy-client-key-file=front.key",
        "--requestheader-client-ca-file=front-ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
    ]


def _controller_manager(layout: Layout) -> list[str]:
    return [
        "kube-controller-manager",
        f"--kubeconfig={layout.kubeconfig}",
        "--service-account-private-key-file=sa.key",
        "--root-ca-file=ca.crt",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={POD_CIDRS}",
        f"--node-cidr-mask-size-ipv4={POD_MASK_V4}",
        f"--node-cidr-mask-size-ipv6={POD_MASK_V6}",
        "--leader-elect=false",
    ]
