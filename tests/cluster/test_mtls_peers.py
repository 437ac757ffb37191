"""Wrong tokens at the issuer and wrong certificates at a pod, by somebody inside the cluster who has all he needs but
the right. Each table has its counterpart that is accepted, so that a refusal is about what it seems to be about."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from injector.inject.names import INBOUND_PORT, PREFIX, SYSTEM_NAMESPACE, TOKEN_AUDIENCE
from tests.cluster.hostile import impostor
from tests.cluster.support import forgery, pods
from tests.cluster.support import mesh as meshes
from tests.cluster.support.api import Api
from tests.cluster.support.control_plane import IDENTITY, logs
from tests.cluster.support.forgery import Credentials, Issuer, spiffe
from tests.cluster.support.kinds import Json, path
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.webhook import samples

PROGRAM: Final = Path(impostor.__file__).read_text()
MINUTE: Final = timedelta(minutes=1)
TOKEN_SECONDS: Final = 600
"""The least that the API server gives."""
ACCOUNTS: Final = ("alice", "bob")
REFUSED: Final = "injector_identity_refusals_total"


@pytest.fixture(scope="module")
def house(mesh: Mesh) -> Iterator[Sandbox]:
    """A namespace with a meshed server that lets in only those who can say who they are."""
    sandbox = Sandbox(mesh.cluster, mesh.api, "house")
    try:
        sandbox.open(meshed=True)
        for name in ACCOUNTS:
            sandbox.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        strict = {f"{PREFIX}default-inbound-policy": "all-authenticated"}
        of = {name: pods.pod(name, pods.spec(serviceAccountName=name)) for name in ACCOUNTS}
        sandbox.start(pods.pod("server", annotations=strict), *of.values())
        yield sandbox
    finally:
        sandbox.remove()


@pytest.fixture(scope="module")
def enemy(mesh: Mesh) -> Iterator[Pod]:
    """A pod outside the mesh that has Python and can make whatever it is told to show."""
    sandbox = Sandbox(mesh.cluster, mesh.api, "impostor")
    container = {
        "name": pods.APP,
        "image": next(name for name in meshes.image_names() if "/controller" in name),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.pause()"],
    }
    try:
        sandbox.open(meshed=False)
        (pod,) = sandbox.start(pods.pod("impostor", pods.spec(container)))
        yield pod
    finally:
        sandbox.remove()


def run(enemy: Pod, command: str, asked: Json) -> Any:
    words = ("exec", "-i", enemy.name, "-c", pods.APP, "--", "python", "-c", PROGRAM, command)
    return json.loads(enemy.sandbox.kubectl(*words, stdin=json.dumps(asked) + "\n"))


# --- at the issuer


def token(house: Sandbox, account: str, *, pod: str = "", audience: str = TOKEN_AUDIENCE) -> str:
    """A token of a ServiceAccount as the kubelet gets it, bound to a pod, or to nothing."""
    spec: Json = {"audiences": [audience] if audience else [], "expirationSeconds": TOKEN_SECONDS}
    if pod:
        uid = house.api.get("Pod", pod, house.name)["metadata"]["uid"]
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = house.api.send("POST", path("ServiceAccount", house.name, account, "token"), body)
    return str(answer.object["status"]["token"])


def of_a_deleted_pod(house: Sandbox) -> str:
    (pod,) = house.start(pods.pod("short-lived", pods.spec(serviceAccountName="alice")))
    kept = token(house, "alice", pod=pod.name)
    house.api.delete("Pod", pod.name, house.name, grace_seconds=0)
    pod.wait_gone()
    return kept


def of_a_forger(house: Sandbox) -> str:
    """A real token of which one letter in the middle of the signature is another."""
    real = token(house, "alice", pod="alice")
    place = (real.rindex(".") + len(real)) // 2
    return real[:place] + ("A" if real[place] != "A" else "B") + real[place + 1 :]


WRONG_TOKENS: Final[dict[str, tuple[str, Callable[[Sandbox], str]]]] = {
    # What the bearer asks for is always alice's certificate.
    "another account's pod": ("INVALID_ARGUMENT", lambda house: token(house, "bob", pod="bob")),
    "another audience": ("UNAUTHENTICATED", lambda house: token(house, "alice", pod="alice", audience="vault")),
    "the API server's audience": ("UNAUTHENTICATED", lambda house: token(house, "alice", pod="alice", audience="")),
    "bound to no pod": ("UNAUTHENTICATED", lambda house: token(house, "alice")),
    "of a deleted pod": ("UNAUTHENTICATED", of_a_deleted_pod),
    "of a forger": ("UNAUTHENTICATED", of_a_forger),
    "no token at all": ("UNAUTHENTICATED", lambda _: ""),
}


def certify(enemy: Pod, csr: str, bearer: str) -> Any:
    roots = enemy.sandbox.api.get("ConfigMap", "injector-identity", SYSTEM_NAMESPACE)["data"]["roots.pem"]
    asked = {"csr": csr, "token": bearer, "roots": roots, "trust_domain": forgery.TRUST_DOMAIN}
    return run(enemy, "certify", asked)


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_a_wrong_token_gets_no_certificate(api: Api, house: Sandbox, enemy: Pod, name: str) -> None:
    code, make = WRONG_TOKENS[name]
    bearer, before = make(house), refusals(api)
    csr, _ = forgery.request(spiffe(house.name, "alice"))

    answer = certify(enemy, csr, bearer)

    assert (answer["code"], answer["chain"]) == (code, []), answer
    assert refusals(api) == before + 1
    assert not bearer or bearer not in logs(api, IDENTITY), "a token in a log is a token lost"


def test_an_unbound_token_of_kubectl_gets_no_certificate(house: Sandbox, enemy: Pod) -> None:
    bearer = house.kubectl("create", "token", "alice", f"--audience={TOKEN_AUDIENCE}").strip()
    csr, _ = forgery.request(spiffe(house.name, "alice"))

    answer = certify(enemy, csr, bearer)

    assert answer["code"] == "UNAUTHENTICATED", answer
    assert "pod" in answer["message"], "it says what such a token lacks"


WRONG_NAMES: Final[dict[str, Callable[[str], tuple[str, ...]]]] = {
    "another account": lambda namespace: (spiffe(namespace, "bob"),),
    "another namespace": lambda _: (spiffe("kube-system", "alice"),),
    "another trust domain": lambda namespace: (spiffe(namespace, "alice", "example.com"),),
    "one name too many": lambda namespace: (spiffe(namespace, "alice"), spiffe(namespace, "bob")),
    "the issuer's own": lambda _: (spiffe(SYSTEM_NAMESPACE, "injector-identity"),),
}


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_good_token_gets_no_other_name(api: Api, house: Sandbox, enemy: Pod, name: str) -> None:
    before = refusals(api)
    csr, _ = forgery.request(*WRONG_NAMES[name](house.name))

    answer = certify(enemy, csr, token(house, "alice", pod="alice"))

    assert (answer["code"], answer["chain"]) == ("INVALID_ARGUMENT", []), answer
    assert refusals(api) == before + 1


def test_a_pods_own_token_gets_its_certificate_and_the_server_believes_it(house: Sandbox, enemy: Pod) -> None:
    """The counterpart of all refusals, at the issuer and on the wire: token and key in wrong hands are an identity."""
    csr, key = forgery.request(spiffe(house.name, "alice"))

    answer = certify(enemy, csr, token(house, "alice", pod="alice"))

    assert answer["code"] == "OK", answer
    assert '"pod":"server"' in ask(house, enemy, forgery.credentials(answer["chain"], key))["answer"]


def refusals(api: Api) -> float:
    return sum(value for _, value in samples(api, IDENTITY, REFUSED))


# --- at a pod


def of_an_impatient(house: Sandbox, issuer: Issuer) -> Credentials:
    return issuer.issue(spiffe(house.name, "alice"), begins=10 * MINUTE, ends=60 * MINUTE)


WRONG_PEERS: Final[dict[str, Callable[[Sandbox, Issuer], Credentials]]] = {
    "no certificate": lambda *_: Credentials("", ""),
    "another root": lambda house, _: forgery.stranger().issue(spiffe(house.name, "alice")),
    "expired": lambda house, ours: ours.issue(spiffe(house.name, "alice"), begins=-60 * MINUTE, ends=-10 * MINUTE),
    "not yet valid": of_an_impatient,
    "another trust domain": lambda house, ours: ours.issue(spiffe(house.name, "alice", "example.com")),
    "no identity": lambda _, ours: ours.issue(),
    "two identities": lambda house, ours: ours.issue(spiffe(house.name, "alice"), spiffe(house.name, "bob")),
    "no SPIFFE path": lambda _, ours: ours.issue("spiffe://cluster.local/alice"),
    "a server's alone": lambda house, ours: ours.issue(spiffe(house.name, "alice"), uses=(forgery.BOTH_USES[0],)),
}


def ask(house: Sandbox, enemy: Pod, shown: Credentials, newest: str = "TLSv1_3") -> Any:
    """An HTTP request to the server's application through its proxy's mesh port."""
    server = Pod(house, "server")
    asked = {
        "host": server.address(4),
        "port": INBOUND_PORT,
        "application_port": pods.HTTP,
        "request": "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n",
        "chain": shown.chain,
        "key": shown.key,
        "newest": newest,
    }
    return run(enemy, "connect", asked)


@pytest.mark.parametrize("name", WRONG_PEERS)
def test_a_wrong_peer_reaches_no_application(api: Api, house: Sandbox, enemy: Pod, name: str) -> None:
    before = failed_handshakes(house)

    answer = ask(house, enemy, WRONG_PEERS[name](house, forgery.real_issuer(api)))

    assert answer["answer"] == "", "nobody may have answered"
    assert answer["error"] != "", "and the peer hears of it"
    assert failed_handshakes(house) == before + 1
    assert enemy.address(4) in Pod(house, "server").logs("injector-proxy"), "the log names the peer"


def test_what_our_issuer_signed_is_believed(api: Api, house: Sandbox, enemy: Pod) -> None:
    """Made like the wrong ones, and right: what is refused above is refused for its own fault alone."""
    shown = forgery.real_issuer(api).issue(spiffe(house.name, "alice"))
    assert '"pod":"server"' in ask(house, enemy, shown)["answer"]


def test_tls_1_2_is_not_spoken(api: Api, house: Sandbox, enemy: Pod) -> None:
    shown = forgery.real_issuer(api).issue(spiffe(house.name, "alice"))

    answer = ask(house, enemy, shown, newest="TLSv1_2")

    assert answer["established"] is False
    assert "version" in answer["error"].lower(), answer


def failed_handshakes(house: Sandbox) -> float:
    return Pod(house, "server").metrics().total("tls_handshake_failures_total", direction="inbound")
