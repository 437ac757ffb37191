"""What bytes say by the letter of RFC 9112, what a server says that it has read, and whether these are the same."""

import base64
import json
import re
from dataclasses import dataclass, replace
from typing import Final

Fields = tuple[tuple[str, str], ...]

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE: Final = rb"(?:" + TOKEN + rb":[\t -~\x80-\xff]*\r\n)"
REQUEST: Final = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.([01])\r\n(" + LINE + rb"*)\r\n")
ANSWER: Final = re.compile(rb"HTTP/1\.([01]) (\d{3}) ?[\t -~\x80-\xff]*\r\n(" + LINE + rb"*)\r\n")
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?\r\n")
MESH: Final = re.compile(r"injector[^a-z0-9]")
ABSOLUTE: Final = re.compile(r"(?i)https?://([^/?]*)")
TRAILERS: Final = re.compile(rb"(" + LINE + rb"*)\r\n")

CUT: Final[tuple[None, Fields, bytes]] = (None, (), b"")
PASSING: Final = {
    *("connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "transfer-encoding"),
    *("content-length", "trailer", "expect", "host", "x-read"),
}
"""Fields that hold for one connection, or that this module compares otherwise; the rest must arrive as it was sent."""


class DifferentError(Exception):
    """Two readers of the same bytes have not read the same."""


@dataclass(frozen=True)
class Reading:
    """A request as somebody has read it."""

    method: str
    target: str
    fields: Fields
    body: str | None
    """Unknown, if the reader has not read it, or if it has not come whole."""
    trailers: Fields = ()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def token(self, name: str, word: str) -> bool:
        return any(word == one.strip().lower() for value in self.all(name) for one in value.split(","))

    @property
    def hosts(self) -> list[str]:
        return [host.lower() for host in self.all("host")]

    @property
    def origin(self) -> str:
        """The target without scheme and authority."""
        path = ABSOLUTE.sub("", self.target)
        return path if path == self.target or path.startswith("/") else f"/{path}"

    @property
    def authority(self) -> list[str]:
        """That of the target, as the only host."""
        absolute = ABSOLUTE.match(self.target)
        if self.method == "CONNECT":
            return [self.target.lower()]
        return [absolute[1].lower()] if absolute else []

    @property
    def mesh(self) -> list[tuple[str, str]]:
        """The fields that an application might take for the mesh's."""
        return [each for each in self.fields if MESH.match(each[0])]

    @property
    def others(self) -> list[tuple[str, str]]:
        nominated = {one.strip().lower() for value in self.all("connection") for one in value.split(",")}
        left = PASSING | nominated
        return sorted(each for each in self.fields if each[0] not in left and not MESH.match(each[0]))


@dataclass(frozen=True)
class Asked:
    """A request by the letter, and what follows it."""

    reading: Reading
    last: bool
    """Nobody may read another request behind it."""
    whole: bool
    rest: bytes


@dataclass(frozen=True)
class Answered:
    """A server's answer."""

    status: int
    reading: Reading | None
    """What it says that it has read."""
    is_tunnel: bool
    """What follows is no HTTP."""
    last: bool
    rest: bytes


def asked(data: bytes, *, lenient: bool = False) -> Asked | None:
    """The request that the bytes begin with; none, if its head has not come whole; or to the lenient, if it is none."""
    data = data.removeprefix(b"\r\n")  # RFC 9112, section 2.2
    head = REQUEST.match(data)
    if head is None:
        if b"\r\n\r\n" in data and not lenient:
            raise DifferentError(f"no request by the letter: {data[:300]!r}")
        return None
    method, target, minor, lines = head.groups()
    bare = Reading(method.decode(), target.decode(), _fields(lines), None)
    body, trailers, rest = _body(bare, data[head.end() :])
    said = replace(bare, body=body, trailers=trailers)
    keeps = bare.token("connection", "keep-alive") if minor == b"0" else not bare.token("connection", "close")
    return Asked(said, not keeps or body is None, body is not None, rest)


def all_asked(data: bytes) -> list[Reading]:
    """The requests that one may read of it, one behind the other, up to what is none; the last one may be cut."""
    readings: list[Reading] = []
    while data and (one := asked(data, lenient=bool(readings))) is not None:
        readings.append(one.reading)
        if one.last:
            break
        data = one.rest
    return readings


def answered(data: bytes, method: str) -> Answered | None:
    """The answer that the bytes begin with, behind those that announce it."""
    while True:
        head = ANSWER.match(data)
        if head is None:
            return None
        minor, digits, lines = head.groups()
        data, status = data[head.end() :], int(digits)
        if status >= 200 or status == 101:
            break
    bare = Reading(method, "", _fields(lines), None)
    said = bare.all("x-read")
    if len(said) > 1:
        raise DifferentError(f"two readings in one answer: {said}")
    tunnel = status == 101 or (method == "CONNECT" and status < 300)
    if method != "HEAD" and status not in (204, 304) and not tunnel:
        _, _, data = _body(bare, data, until_end=True)
    keeps = bare.token("connection", "keep-alive") if minor == b"0" else not bare.token("connection", "close")
    return Answered(status, _told(said[0]) if said else None, tunnel, not keeps, data)


def told_anywhere(said: bytes) -> list[Reading]:
    """All that a server says that it has read, whatever its answers look like otherwise."""
    return [_told(text.decode()) for text in re.findall(rb"(?i)x-read: ([0-9A-Za-z+/=]+)", said)]


def compare(heard: bytes, said: bytes) -> list[tuple[Reading, Answered]]:
    """Pairs what a server has heard on a connection with what it has said, and fails where it has read something else
    than the letter says. What it declines, it need not have read."""
    pairs: list[tuple[Reading, Answered]] = []
    while said:
        ours = asked(heard)
        theirs = answered(said, ours.reading.method if ours else "GET")
        if theirs is None:
            raise DifferentError(f"no answer by the letter: {said[:300]!r}")
        _check(ours, theirs)
        heard, said = ours.rest if ours else b"", theirs.rest
        if ours is None:
            continue
        pairs.append((ours.reading, theirs))
        if theirs.is_tunnel or theirs.last or ours.last:
            _check_end(ours, theirs)
            break
    return pairs


def _check(ours: Asked | None, theirs: Answered) -> None:
    if theirs.reading is None and theirs.status < 400:
        raise DifferentError(f"an answer without a reading: {theirs}")
    if theirs.reading is not None and ours is None:
        raise DifferentError(f"an answer to nothing: {theirs}")
    if theirs.reading is not None and ours is not None:
        same(ours.reading, theirs.reading)


def _check_end(ours: Asked, theirs: Answered) -> None:
    """Behind the last answer of a connection. To a request that was cut, the server may say that it is unhappy."""
    if told_anywhere(theirs.rest):
        raise DifferentError(f"requests were read behind the last, or in a tunnel: {told_anywhere(theirs.rest)}")
    if theirs.rest and ours.whole and not theirs.is_tunnel:
        raise DifferentError(f"an answer behind the last: {theirs.rest[:300]!r}")


def same(ours: Reading, theirs: Reading) -> None:
    """Fails unless the server has read what the letter says. It may tell an absolute target as its path, and its
    authority as the host (RFC 9112, section 3.3); two slashes that a path begins with as one, as http.server does; and
    trailers among the fields, as uvicorn does with httptools: none gets through that means something in a head."""
    pairs: list[tuple[str, object, object]] = [
        ("method", ours.method, theirs.method),
        ("the mesh's fields", ours.mesh, theirs.mesh),
        ("body", ours.body, ours.body if theirs.body is None else theirs.body),
    ]
    if theirs.target not in (ours.target, ours.origin, re.sub("^//+", "/", ours.target)):
        pairs.append(("target", ours.target, theirs.target))
    if theirs.others not in (ours.others, sorted([*ours.others, *ours.trailers])):
        pairs.append(("other fields", ours.others, theirs.others))
    if theirs.hosts not in (ours.hosts, ours.authority):
        pairs.append(("host", ours.hosts, theirs.hosts))
    differences = [
        f"{what}: {one!r} by the letter, {other!r} by the server" for what, one, other in pairs if one != other
    ]
    if differences:
        raise DifferentError("; ".join(differences))


def _told(text: str) -> Reading:
    told = json.loads(base64.b64decode(text))
    fields = tuple((name.lower(), value.strip(" \t")) for name, value in told["fields"])
    return Reading(told["method"], told["target"], fields, told["body"])


def _fields(lines: bytes) -> Fields:
    named = [line.partition(b":") for line in lines.split(b"\r\n")[:-1]]
    return tuple((name.decode().lower(), value.strip(b" \t").decode("latin-1")) for name, _, value in named)


def _body(head: Reading, data: bytes, *, until_end: bool = False) -> tuple[str | None, Fields, bytes]:
    """A message's body, if it has come whole, its trailers, and what follows."""
    lengths, codings = head.all("content-length"), head.all("transfer-encoding")
    if codings:
        if lengths or [one.lower() for one in codings] != ["chunked"]:
            raise DifferentError(f"no framing by the letter: {head.fields}")
        return _chunks(data)
    if lengths:
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]+", lengths[0]):
            raise DifferentError(f"no length by the letter: {lengths}")
        length = int(lengths[0])
        return (data[:length].decode("latin-1"), (), data[length:]) if len(data) >= length else CUT
    return (data.decode("latin-1"), (), b"") if until_end else ("", (), data)


def _chunks(data: bytes) -> tuple[str | None, Fields, bytes]:
    body = b""
    while (head := CHUNK.match(data)) is not None:
        size, data = int(head[1], 16), data[head.end() :]
        if size == 0:
            end = TRAILERS.match(data)
            return (body.decode("latin-1"), _fields(end[1]), data[end.end() :]) if end else CUT
        if len(data) < size + 2:
            return CUT
        if data[size : size + 2] != b"\r\n":
            raise DifferentError(f"no chunk by the letter: {data[: size + 2]!r}")
        body, data = body + data[:size], data[size + 2 :]
    if b"\r\n" in data:
        raise DifferentError(f"no chunk by the letter: {data[:300]!r}")
    return CUT
