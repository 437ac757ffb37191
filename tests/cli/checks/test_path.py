"""From the API server's words to the obstacle.

The messages are real: Kubernetes 1.36 wrote them with each fault made on purpose (a wrong CA, an expired certificate, a
dropped packet, …), or they come from reports where that is said.
"""

import pytest

from injector.cli.checks.lines import Status
from injector.cli.checks.path import Obstacle, PathFacts, diagnose

POST = 'Post "https://injector-webhook.injector-system.svc:443/mutate/annotated-pods?timeout=5s": '
TLS = POST + "tls: failed to verify certificate: x509: "
LATE = TLS + "certificate has expired or is not yet valid: "
READY = PathFacts(ready_pods=2, webhook_port=8443, admin_answers=True)

MESSAGES: list[tuple[str, Obstacle]] = [
    (POST + 'service "injector-webhook" not found', Obstacle.NO_SERVICE),
    (POST + 'no endpoints available for service "injector-webhook"', Obstacle.NO_PODS),
    (TLS + 'certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while '
     'trying to verify candidate authority certificate "test-ca")', Obstacle.UNKNOWN_AUTHORITY),
    (TLS + "certificate signed by unknown authority", Obstacle.UNKNOWN_AUTHORITY),
    (LATE + "current time 2026-11-22T21:15:05Z is after 2026-11-21T21:14:37Z",
     Obstacle.EXPIRED),
    (LATE + "current time 2026-11-22T21:15:12Z is before 2026-11-23T21:14:37Z",
     Obstacle.EXPIRED),
    (TLS + "certificate is valid for other.svc, not injector-webhook.injector-system.svc", Obstacle.WRONG_NAME),
    ("could not get REST client: unable to load root certificates: unable to parse bytes as PEM block",
     Obstacle.CA_BUNDLE),
    (POST + "tls: first record does not look like a TLS handshake", Obstacle.NOT_TLS),
    (POST + "EOF", Obstacle.BROKEN_CONNECTION),
    (POST + "dial tcp 172.30.0.1:19099: connect: connection refused", Obstacle.REFUSED),
    (POST + "dial tcp 172.30.0.77:8443: connect: no route to host", Obstacle.FIREWALL),
    ("failed to call webhook: the server could not find the requested resource", Obstacle.WRONG_ANSWER),
    ('failed to call webhook: an error on the server ("boom") has prevented the request from succeeding',
     Obstacle.WRONG_ANSWER),
    ("failed to call webhook: the server is currently unable to handle the request", Obstacle.WRONG_ANSWER),
    ("received invalid webhook response: webhook response was absent", Obstacle.WRONG_ANSWER),
    ("failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value",
     Obstacle.WRONG_ANSWER),
    (POST + "context deadline exceeded", Obstacle.SLOW),
    # Reported from managed control planes, whose tunnels could not be made here.
    (POST + "dial tcp 10.0.12.7:8443: i/o timeout", Obstacle.FIREWALL),
    (POST + "No agent available", Obstacle.TUNNEL),
    (POST + "Address is not allowed", Obstacle.TUNNEL),
    (POST + "proxy error from 127.0.0.1:6443 while dialing 10.42.1.3:8443, code 502: 502 Bad Gateway", Obstacle.TUNNEL),
    (POST + "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
     Obstacle.SLOW),
    (POST + "http: server gave HTTP response to HTTPS client", Obstacle.NOT_TLS),
    (POST + "read tcp 10.0.0.1:40312->10.0.12.7:8443: read: connection reset by peer", Obstacle.BROKEN_CONNECTION),
    ("something nobody has seen", Obstacle.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("message", "obstacle"), MESSAGES)
def test_a_message_names_its_obstacle(message: str, obstacle: Obstacle) -> None:
    diagnosis = diagnose('failed calling webhook "annotated-pods.injector.mesh": ' + message, READY)
    assert diagnosis.obstacle is obstacle
    assert diagnosis.remedy


SILENCE = POST + "context deadline exceeded"
REFUSED = POST + "dial tcp 10.0.12.7:8443: connect: connection refused"


@pytest.mark.parametrize("message", [SILENCE, REFUSED])
def test_silence_without_a_ready_pod_is_the_pods_fault(message: str) -> None:
    assert diagnose(message, PathFacts(ready_pods=0, webhook_port=8443)).obstacle is Obstacle.NO_PODS


@pytest.mark.parametrize("message", [SILENCE, REFUSED])
def test_silence_behind_an_isolating_policy_is_the_policy_s(message: str) -> None:
    facts = PathFacts(ready_pods=2, webhook_port=9443, blocking_policies=("deny-all",))
    diagnosis = diagnose(message, facts)
    assert diagnosis.obstacle is Obstacle.NETWORK_POLICY
    assert "deny-all" in diagnosis.meaning
    assert "9443" in diagnosis.meaning


@pytest.mark.parametrize("admin_answers", [None, False])
def test_silence_from_ready_pods_that_cannot_be_reached_otherwise_is_a_firewall(admin_answers: bool | None) -> None:
    diagnosis = diagnose(SILENCE, PathFacts(ready_pods=2, webhook_port=8443, admin_answers=admin_answers))
    assert diagnosis.obstacle is Obstacle.FIREWALL
    assert "8443" in diagnosis.meaning


def test_a_certificate_s_fault_stays_one_whatever_else_is_wrong() -> None:
    facts = PathFacts(ready_pods=0, webhook_port=8443, blocking_policies=("deny-all",), admin_answers=False)
    assert diagnose(TLS + "certificate signed by unknown authority", facts).obstacle is Obstacle.UNKNOWN_AUTHORITY


def test_the_line_quotes_the_api_server() -> None:
    line = diagnose(SILENCE, READY).line(SILENCE)
    assert line.status is Status.BAD
    assert line.details == (SILENCE,)
    assert "(slow)" in line.text


def test_every_obstacle_has_a_meaning_and_a_remedy_without_loose_ends() -> None:
    for obstacle in Obstacle:
        found = [diagnose(message, READY) for message, known in MESSAGES if known is obstacle]
        if obstacle is Obstacle.NETWORK_POLICY:
            found = [diagnose(SILENCE, PathFacts(2, 8443, ("deny-all",)))]
        assert found, obstacle
        assert "{" not in found[0].meaning + "".join(found[0].remedy)
