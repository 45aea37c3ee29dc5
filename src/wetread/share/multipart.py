"""Many things in one answer.

In: parts.  Out: the bytes of a multipart/related body, one piece after the other.
Never: more of a part in memory than the piece that is being sent.

References
----------
RFC 2387; PS3.18 8.6.1.2.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of them."""

    media_type: str
    pieces: Iterable[bytes]
    #: Address at which it can be had alone.
    location: str = ""


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

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body."""
        for part in self.parts:
            head = f"--{self.boundary}\r\nContent-Type: {part.media_type}\r\n"
            if part.location:
                head += f"Content-Location: {part.location}\r\n"
            pieces = iter(part.pieces)
            # Head and beginning together: a packet less for each.
            yield f"{head}\r\n".encode() + next(pieces, b"")
            yield from pieces
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()
