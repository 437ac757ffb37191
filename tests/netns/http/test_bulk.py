"""Large bodies through nginx: every byte of them, and no more memory for it."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http.apps import digest
from tests.netns.http.conftest import NGINX, NGINX_H2
from tests.netns.http.pair import SERVICE, Pair
from tests.netns.pods import Proxy

pytestmark = pytest.mark.netns

MIB: Final = 1024 * 1024
KEEP_KIB: Final = 64 * 1024
"""The aim: resident memory of each proxy, however much goes through it."""

SIZES: Final = [64, pytest.param(4096, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
PORTS: Final = {"--http1.1": NGINX, "--http2-prior-knowledge": NGINX_H2}


@pytest.fixture
def body(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """As many MiB as the test asks for, no two of them equal."""
    path = tmp_path / "body"
    cipher = ("openssl", "enc", "-aes-128-ctr", "-nosalt", "-K", "0" * 32, "-iv", "0" * 32)
    with path.open("wb") as file, subprocess.Popen(cipher, stdin=subprocess.PIPE, stdout=file) as process:
        assert process.stdin
        for _ in range(request.param):
            process.stdin.write(bytes(MIB))
        process.stdin.close()
    yield path
    path.unlink()


@pytest.mark.parametrize(
    "body",
    [64, pytest.param(4096, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    indirect=True,
    ids="{}MiB".format,
)
@pytest.mark.parametrize("version", PORTS)
def test_a_file_goes_both_ways_whole(pair: Pair, files: Path, body: Path, version: str) -> None:
    at = f"http://{SERVICE}:{PORTS[version]}/bulk"
    expected = digest(body)
    curl = ("ip", "netns", "exec", pair.client.name, "curl", "-sSf", "--noproxy", "*", version)
    subprocess.run([*curl, "-H", "Expect:", "-T", body, at], check=True, timeout=400)
    assert digest(files / "bulk") == expected
    with subprocess.Popen([*curl, at], stdout=subprocess.PIPE) as download:
        said = subprocess.run(["sha256sum"], stdin=download.stdout, check=True, capture_output=True, timeout=400)
    assert download.returncode == 0
    assert said.stdout.decode().split()[0] == expected
    (files / "bulk").unlink()
    for proxy in (pair.ours, *pair.theirs):
        assert most_resident_kib(proxy) < KEEP_KIB


def test_eight_files_go_at_once(pair: Pair, files: Path, tmp_path: Path) -> None:
    """Over few connections between the proxies, and none of them waits for another."""
    for number in range(8):
        (files / f"file-{number}").write_bytes(bytes([number]) * 8 * MIB)

    def fetch(number: int) -> bytes:
        back = tmp_path / f"back-{number}"
        pair.curl("-f", "-o", back, f"http://{SERVICE}:{NGINX}/file-{number}")
        return back.read_bytes()

    with ThreadPoolExecutor(max_workers=8) as threads:
        for number, content in enumerate(threads.map(fetch, range(8))):
            assert content == bytes([number]) * 8 * MIB


def test_a_slow_reader_holds_nobody_up(pair: Pair, files: Path) -> None:
    """It takes the head of a large answer, and no more; others on the same way are answered, and memory stays."""
    with (files / "huge").open("wb") as file:
        file.truncate(512 * MIB)
    ask = b"GET /huge HTTP/1.1\r\nhost: web.shop\r\n\r\n"
    with pair.stream(NGINX) as one, pair.stream(NGINX) as other:
        for slow in (one, other):
            slow.send(ask)
            assert slow.head() is not None
        for _ in range(20):
            assert pair.curl("--max-time", "5", f"http://{SERVICE}:{NGINX}/ok") == "ok\n"
    for proxy in (pair.ours, *pair.theirs):
        assert most_resident_kib(proxy) < KEEP_KIB


def most_resident_kib(proxy: Proxy) -> int:
    """The most that it ever had."""
    rows = Path(f"/proc/{proxy.process.pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))
