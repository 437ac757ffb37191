"""An answer to an HTTP/1.1 request, from its bytes as they come. Only what nginx says to us is understood. Pure."""

from __future__ import annotations

_OK = b"HTTP/1.1 200 "
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Answer:
    """One answer on its way."""

    def __init__(self) -> None:
        self._head = b""
        self._whole: int | None = None
        self.size = 0

    def take(self, data: bytes) -> bool:
        """Take what has come; whether that is all. Anything but 200 with a length, and more than that, is an error."""
        if not data:
            raise ConnectionError(f"the connection was closed after {self.size} bytes of an answer")
        self.size += len(data)
        if self._whole is None:
            self._head += data
            end = self._head.find(_END)
            if end < 0:
                return False
            self._whole = end + len(_END) + _length(self._head[:end])
        if self.size > self._whole:
            raise ValueError(f"{self.size} bytes came of an answer of {self._whole}")
        return self.size == self._whole


def _length(head: bytes) -> int:
    if not head.startswith(_OK):
        raise ValueError(f"expected 200, got {head[:80]!r}")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            return int(line.removeprefix(_LENGTH))
    raise ValueError(f"expected a length, got {head!r}")
