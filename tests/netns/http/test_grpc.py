"""gRPC as grpcio speaks it. What each call shows is in grpc_peer.py."""

import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.netns.http import apps, grpc_peer
from tests.netns.http.pair import SERVICE, Pair

pytestmark = pytest.mark.netns

PORT: Final = 50051
PEER: Final = (sys.executable, "-m", "tests.netns.http.grpc_peer")


@pytest.fixture(scope="module", autouse=True)
def server(pair: Pair) -> Iterator[None]:
    with apps.running(pair.server, *PEER, "serve", f"0.0.0.0:{PORT}", "only", port=PORT):
        yield


@pytest.mark.parametrize("call", [call.__name__ for call in grpc_peer.CALLS])
def test_it_works(pair: Pair, call: str) -> None:
    said = pair.client.execute(*PEER, "call", f"{SERVICE}:{PORT}", call, check=False)
    assert said.returncode == 0, said.stderr
