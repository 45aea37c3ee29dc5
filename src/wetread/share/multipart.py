"""Many things in one answer.

In: parts.  Out: the bytes of a multipart/related body, one piece after the other.
Never: more of a part in memory than the piece that is being sent.

References
----------
RFC 2387; PS3.18 8.6.1.2.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_LINE = b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of them."""

    media_type: str
    pieces: Iterable[bytes]
    #: Address at which it can be had alone.
    location: str = ""
    #: Bytes of all pieces; None where that is not known before.
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Multipart:
    """A body of parts of one type."""

    #: Of the parts, e.g. ``application/dicom``.
    part_type: str
    parts: Iterable[Part]
    #: Cannot occur in what is sent, for all that anybody can know.
    boundary: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def media_type(self) -> str:
        """What the header says."""
        return f'multipart/related; type="{self.part_type}"; boundary={self.boundary}'

    @property
    def size(self) -> int | None:
        """Bytes of the body; None where parts are made while they are sent, or one does not know its own."""
        if not isinstance(self.parts, Sequence):
            return None
        size = len(self._end)
        for part in self.parts:
            if part.size is None:
                return None
            size += len(self._head(part)) + part.size + len(_LINE)
        return size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body; the first piece of each part is there before its head is sent."""
        before = b""
        for part in self.parts:
            pieces = iter(part.pieces)
            first = next(pieces, b"")
            yield before + self._head(part)
            yield first
            yield from pieces
            before = _LINE
        yield before + self._end

    def _head(self, part: Part) -> bytes:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        return f"--{self.boundary}\r\nContent-Type: {part.media_type}\r\n{location}\r\n".encode()

    @property
    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()
