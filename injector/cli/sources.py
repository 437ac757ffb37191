"""Where documents come from: files, directories, addresses, standard input."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from injector.cli.documents.read import MAX_BYTES, Document, Fault, read_documents
from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    import httpx

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_SCHEMES: Final = ("https://", "http://")

FETCH_SECONDS: Final = 15.0
"""For each step of a fetch (connect, a piece of the body); whoever waits at a terminal gives up about then."""

FETCH_REDIRECTS: Final = 5


class UnreadableError(Exception):
    """An input that has no text; the message says why."""


def read_sources(sources: list[str], *, recursive: bool = False) -> list[Document]:
    """The documents of all sources in their order; ends the command with all faults of all of them."""
    documents: list[Document] = []
    faults: list[Fault] = []
    for source in sources:
        try:
            for name, data in _texts(source, recursive=recursive):
                found, bad = read_documents(data, name)
                documents += found
                faults += bad
        except UnreadableError as fault:
            faults.append(Fault(source, None, str(fault)))
    if faults:
        raise CommandError(*map(str, faults))
    return documents


def _texts(source: str, *, recursive: bool) -> list[tuple[str, bytes]]:
    if source == STDIN:
        return [("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))]
    if source.lower().startswith(_SCHEMES):
        return [(source, _fetch(source))]
    try:
        return [(str(path), _read(path)) for path in _files(Path(source), recursive=recursive)]
    except OSError as error:
        where = f"{error.filename}: " if error.filename and str(error.filename) != source else ""
        raise UnreadableError(where + (error.strerror or str(error))) from error
    except ValueError as error:  # a name that no file can have
        raise UnreadableError(str(error)) from error


def _files(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    entries = sorted(path.rglob("*") if recursive else path.iterdir())
    found = [entry for entry in entries if entry.suffix in _SUFFIXES and entry.is_file()]
    if not found:
        raise UnreadableError(f"no {', '.join(sorted(_SUFFIXES))} file in this directory")
    return found


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _fetch(url: str) -> bytes:
    import httpx

    secure = url.lower().startswith("https://")
    try:
        with (
            httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True, max_redirects=FETCH_REDIRECTS) as client,
            client.stream("GET", url) as response,
        ):
            if secure and response.url.scheme != "https":
                raise UnreadableError(f"redirected from https to {response.url}, which anybody on the way can change")
            if response.is_error:
                raise UnreadableError(f"the server answered {response.status_code} {response.reason_phrase}".rstrip())
            return _bounded(response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreadableError(f"cannot be fetched: {str(error) or type(error).__name__}") from error


def _bounded(response: "httpx.Response") -> bytes:
    """The body, or its first MAX_BYTES and a little: enough to be refused for its length."""
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > MAX_BYTES:
            break
    return bytes(data)
