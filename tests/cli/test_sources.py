"""Files, directories, addresses and standard input."""

from pathlib import Path

import httpx
import pytest
from pytest_httpx import HTTPXMock

from injector.cli import sources
from injector.cli.outcome import CommandError
from injector.cli.sources import FETCH_REDIRECTS, read_sources

URL = "https://example.com/app.yaml"


def names(arguments: list[str], *, recursive: bool = False) -> list[str]:
    return [document.value["kind"] for document in read_sources(arguments, recursive=recursive)]


def faults(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(CommandError) as caught:
        read_sources(list(arguments))
    return caught.value.faults


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, kind in (("b.yaml", "B"), ("a.yml", "A"), ("c.json", '"C"'), ("below/d.yaml", "D"), ("e.txt", "E")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{" + f'"kind": {kind}' + "}" if "json" in name else f"kind: {kind}\n")
    return tmp_path


def test_a_directory_is_read_in_the_order_of_names(directory: Path) -> None:
    assert names([str(directory)]) == ["A", "B", "C"]
    assert names([str(directory)], recursive=True) == ["A", "B", "D", "C"]
    assert names([str(directory / "b.yaml"), str(directory / "a.yml")]) == ["B", "A"]


def test_all_faults_of_all_sources_at_once(directory: Path) -> None:
    (directory / "bad.yaml").write_text("a: 1\na: 2\n---\n[\n")
    (directory / "empty").mkdir()
    said = faults(str(directory), str(directory / "nope.yaml"), str(directory / "empty"))
    assert len(said) == 4
    assert said[0] == f"{directory}/bad.yaml:2: the key 'a' stands here again (first in line 1)"
    assert said[2] == f"{directory}/nope.yaml: No such file or directory"
    assert said[3] == f"{directory}/empty: no .json, .yaml, .yml file in this directory"


def test_one_unreadable_file_of_a_directory_is_named(directory: Path) -> None:
    (directory / "gone.yaml").symlink_to(directory / "nowhere")
    assert names([str(directory)]) == ["A", "B", "C"], "what is no file is no input"
    (directory / "loop.yaml").symlink_to(directory / "loop.yaml")
    (said,) = faults(str(directory / "loop.yaml"))
    assert said.startswith(f"{directory}/loop.yaml: ")
    assert "null" in faults("a\0b")[0]


def test_a_file_that_vanishes_from_a_directory_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = directory / "gone.yaml"
    monkeypatch.setattr(sources, "_files", lambda path, *, recursive: [gone])
    assert faults(str(directory)) == (f"{directory}: {gone}: No such file or directory",)


def test_an_address_is_fetched(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, text="kind: A\n---\nkind: B\n")
    assert names([URL]) == ["A", "B"]


def test_an_answer_that_is_no_document_says_what_came(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, status_code=404)
    assert faults(URL) == (f"{URL}: the server answered 404 Not Found",)


def test_no_answer_says_why(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ConnectError("Name or service not known"))
    assert faults(URL) == (f"{URL}: cannot be fetched: Name or service not known",)


def test_a_slow_server_is_given_up(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout(""))
    assert faults(URL) == (f"{URL}: cannot be fetched: ReadTimeout",)


def test_redirects_are_followed_but_not_for_ever(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, status_code=302, headers={"Location": "https://example.org/x"})
    httpx_mock.add_response(url="https://example.org/x", text="kind: A\n")
    assert names([URL]) == ["A"]
    httpx_mock.add_response(url=URL, status_code=302, headers={"Location": URL}, is_reusable=True)
    assert "redirects" in faults(URL)[0]
    assert len(httpx_mock.get_requests()) == 2 + FETCH_REDIRECTS + 1


def test_no_redirect_leads_out_of_https(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, status_code=302, headers={"Location": "http://example.com/app.yaml"})
    httpx_mock.add_response(url="http://example.com/app.yaml", text="kind: A\n")
    assert "redirected from https to http://example.com/app.yaml" in faults(URL)[0]


def test_a_body_without_end_is_cut(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1000)
    monkeypatch.setattr("injector.cli.documents.read.MAX_BYTES", 1000)
    taken = 0

    class Endless(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal taken
            while True:
                taken += 100
                yield b"a" * 100

    httpx_mock.add_callback(lambda request: httpx.Response(200, stream=Endless()))
    assert "expected at most 1,000 bytes" in faults(URL)[0]
    assert taken <= 1200


def test_a_bad_address_is_a_fault_of_its_own() -> None:
    assert "cannot be fetched" in faults("http://[::1/")[0]
