"""The parts of a multipart body, as it comes.

In: pieces of a body.  Out: calls for each part: its media type and location, its bytes, its end.
Never: a part in memory; a boundary, a header or a number of parts without measure.

References
----------
RFC 2046 5.1 (multipart), RFC 2387 (related); PS3.18 8.6.1.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

#: RFC 2046 5.1.1 allows 70; Orthanc sends 73.
LONGEST_BOUNDARY = 256
_LONGEST_HEADER = 4096
_MOST_HEADERS = 16
#: Line ends before the first part.
_LONGEST_PREAMBLE = 1 << 10


class Malformed(Exception):
    """A body is not what it says it is; the text is for whoever sent it."""


class TooMany(Exception):
    """A body has more parts than anybody needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaType:
    """A media type with its parameters, in small letters but for the parameters' values."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHead:
    """What stands before a part."""

    #: ``""`` where it is not said.
    media_type: MediaType
    #: Content-Location: the name by which metadata refer to bulk data.
    location: str = ""


class Parts(Protocol):
    """Takes parts, one after the other."""

    def begin(self, head: PartHead) -> None:
        """Begin a part."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of it."""

    def end(self) -> None:
        """End it: it came whole."""


def read_media_type(text: str) -> MediaType:
    """Return the media type of a header; without a name where it is none."""
    try:
        name, parameters = parse_options_header(text)
    except ValueError:
        # Letters beyond Latin-1.
        return MediaType(name="")
    return MediaType(
        name=name.decode("latin-1").strip(),
        parameters={key.decode("latin-1"): value.decode("latin-1") for key, value in parameters.items()},
    )


class Multipart:
    """Splits a body into its parts."""

    def __init__(self, boundary: str, parts: Parts, most_parts: int) -> None:
        """Get ready for a body.

        Raises
        ------
        Malformed
            If the boundary is none.
        """
        encoded = boundary.encode("latin-1", "replace")
        if not 0 < len(encoded) <= LONGEST_BOUNDARY or b"\r" in encoded or b"\n" in encoded:
            raise Malformed("A multipart body needs a boundary (RFC 2046: at most 70 characters).")
        self._parts = parts
        self._most_parts = self._left = most_parts
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._before = 0
        self._parser = MultipartParser(
            encoded,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._take_name,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take_data,
                "on_part_end": parts.end,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER,
        )

    @property
    def is_over(self) -> bool:
        """Whether the last boundary has come; what follows means nothing."""
        return self._parser.state == MultipartState.END

    @property
    def has_parts(self) -> bool:
        """Whether at least one part has begun."""
        return self._left < self._most_parts

    def write(self, data: bytes) -> None:
        """Take the next piece of the body.

        Raises
        ------
        Malformed
            If it is no multipart body.
        TooMany
            If there are more parts than are allowed.
        """
        if self.is_over:
            return
        try:
            self._parser.write(data)
        except FormParserError as error:
            # The library's sentence quotes the body.
            raise Malformed("The body is not multipart, or not with this boundary.") from error
        if not self.has_parts:
            self._before += len(data)
            if self._before > _LONGEST_PREAMBLE:
                raise Malformed("The body does not begin with its boundary.")

    def finish(self) -> None:
        """End the body.

        Raises
        ------
        Malformed
            If its last boundary has not come.
        """
        if not self.is_over:
            raise Malformed("The body ends before its last boundary.")

    def _begin(self) -> None:
        if not self._left:
            raise TooMany
        self._left -= 1
        self._headers = {}

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        name = self._name.decode("latin-1").lower()
        self._headers.setdefault(name, self._value.decode("latin-1").strip())
        self._name.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        head = PartHead(
            media_type=read_media_type(self._headers.get("content-type", "")),
            location=self._headers.get("content-location", ""),
        )
        self._parts.begin(head)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        self._parts.write(memoryview(data)[start:end])
