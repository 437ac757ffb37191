"""RFC 9113 and RFC 7541, clause by clause, as h2spec asks for them: of the listener for the application, and of the one
for whoever has no proxy."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http.conftest import NGINX_H2, PORTS, ROOT
from tests.netns.http.pair import SERVICE, Pair, meshed

pytestmark = [pytest.mark.netns, pytest.mark.long]

MODULE: Final = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"


@pytest.fixture(scope="session")
def h2spec() -> Path:
    """The suite, built once."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "h2spec"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GOBIN": str(target), "GOFLAGS": "-mod=mod"}
    subprocess.run([go, "install", MODULE], check=True, env=environment, timeout=280)
    return target / "h2spec"


@pytest.fixture(scope="module")
def pair(binary: Path) -> Iterator[Pair]:
    """Without the look at the end whether all went under mutual TLS: a stranger's does not."""
    with meshed(binary, "h2spec", PORTS) as pair:
        yield pair


def failures(said: str) -> list[str]:
    """What failed, by the suite's own words; and that it ran at all."""
    ran = re.search(r"(\d+) tests, \d+ passed", said)
    assert ran, said
    assert int(ran[1]) > 140, said
    return re.findall("^\\s*\N{MULTIPLICATION SIGN}.*$", said, re.MULTILINE)


def test_the_listener_for_the_application_keeps_to_it(pair: Pair, files: Path, h2spec: Path) -> None:
    words = (str(h2spec), "-h", SERVICE, "-p", str(NGINX_H2), "-P", "/ok", "-o", "3")
    assert failures(pair.client.execute(*words, check=False).stdout) == []
    pair.assert_encrypted()


def test_the_listener_for_strangers_keeps_to_it(pair: Pair, files: Path, h2spec: Path) -> None:
    """The suite runs as the proxy's user, whose connections are not redirected: a stranger to the server's proxy."""
    as_proxy = ("setpriv", "--reuid=2102", "--regid=2102", "--clear-groups")
    words = (*as_proxy, str(h2spec), "-h", pair.server.v4, "-p", str(NGINX_H2), "-P", "/ok", "-o", "3")
    said = pair.client.execute(*words, check=False).stdout
    assert failures(said) == []
