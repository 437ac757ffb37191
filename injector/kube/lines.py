"""A byte stream cut into lines, with a bound on how long a line may grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One line of a watch is one event: an object as JSON. etcd holds at most 1.5 MiB an object by default and JSON escapes
# grow it a few times at worst; what is longer than 8 MiB is not an object, and is not kept in memory to find out.
MAX_LINE_BYTES = 8 * 1024 * 1024


class LineTooLong(ValueError):  # noqa: N818 - a condition, read as such in an except clause
    """More than the limit without an end of line."""


class LineSplitter:
    """Feed chunks, get whole lines; what is left waits for the next chunk."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes, without their end of line and without empty ones."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._hold(line)
            whole = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
            if whole:
                yield whole
        self._hold(rest)

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            raise LineTooLong(f"a line of the stream is longer than {self._limit} bytes")
        if part:
            self._parts.append(part)
