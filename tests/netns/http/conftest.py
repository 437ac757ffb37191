"""Pods with their sidecars, for all tests of a file: what they ask for is independent of each other."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http import apps
from tests.netns.http.apps import Web
from tests.netns.http.pair import Pair, meshed
from tests.netns.http.tellers import Way, ways

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
WEB, NGINX, NGINX_H2 = 8080, 8081, 8082
PORTS: Final = (WEB, NGINX, NGINX_H2, 8083, 8084, 8085, 8443, 50051, 6379, 3306, 5432, 2525)


@pytest.fixture(scope="module")
def pair(binary: Path) -> Iterator[Pair]:
    with meshed(binary, "http", PORTS) as pair:
        yield pair
        pair.assert_encrypted()


@pytest.fixture
def trio(binary: Path) -> Iterator[Pair]:
    """One client and three servers behind one Service, for one test: proxies remember who failed."""
    with meshed(binary, "three", PORTS, servers=3) as trio:
        yield trio


@pytest.fixture
def web(pair: Pair) -> Iterator[Web]:
    with Web().serving(pair.server, WEB) as web:
        yield web


@pytest.fixture(scope="module")
def files(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What nginx serves, and where it puts what it gets."""
    assert shutil.which("nginx"), "nginx is missing; apt-get install nginx-light"
    with apps.nginx(pair.server, tmp_path_factory.mktemp("nginx"), NGINX, NGINX_H2) as files:
        yield files


@pytest.fixture(scope="session", params=["both", "stranger"])
def way(
    binary: Path, go_peer: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    """To real servers that tell what they have read."""
    with ways(binary, request.param == "both", tmp_path_factory.mktemp("tellers"), go_peer) as way:
        yield way


@pytest.fixture(scope="session")
def go_peer() -> Path:
    """The server and client of Go's net/http, built once."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "netns-peer"
    target.parent.mkdir(parents=True, exist_ok=True)
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    subprocess.run([go, "build", "-o", target, "."], check=True, cwd=HERE / "peers", env=environment, timeout=280)
    return target
