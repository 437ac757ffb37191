"""Go's net/http and Node's http and http2, each as client and as server of each."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http import apps
from tests.netns.http.pair import SERVICE, Pair

pytestmark = pytest.mark.netns

WEB_JS: Final = Path(__file__).parent / "peers" / "web.js"
GO, NODE, NODE_H2 = 8083, 8084, 8085
SERVERS: Final = {("go", "h1"): GO, ("go", "h2"): GO, ("node", "h1"): NODE, ("node", "h2"): NODE_H2}
REQUESTS: Final = 40


@pytest.fixture(scope="module", autouse=True)
def servers(pair: Pair, go_peer: Path) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(apps.running(pair.server, go_peer, "serve", str(GO), port=GO))
        for protocol, port in (("h1", NODE), ("h2", NODE_H2)):
            command = ("node", WEB_JS, "serve", protocol, str(port))
            stack.enter_context(apps.running(pair.server, *command, port=port))
        yield


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("server", ["go", "node"])
@pytest.mark.parametrize("client", ["go", "node"])
def test_bodies_of_both_lengths_go_both_ways_on_one_connection(
    pair: Pair, go_peer: Path, client: str, server: str, protocol: str
) -> None:
    program = [str(go_peer)] if client == "go" else ["node", str(WEB_JS)]
    at = f"http://{SERVICE}:{SERVERS[server, protocol]}"
    said = pair.client.execute(*program, "ask", protocol, at, str(REQUESTS), check=False)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == {"answers": REQUESTS, "connections": 1}
