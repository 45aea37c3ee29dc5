"""What representation somebody accepts, and which one they get.

In: Accept headers and the ``accept`` parameter.  Out: ``MediaType`` in the order of preference.
Never: a representation that was not accepted.

References
----------
RFC 9110 section 12.5.1; PS3.18 sections 8.3.3 and 8.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from wetread.dicom.header import is_uid
from wetread.dicom.part10 import EXPLICIT
from wetread.errors import NotAcceptable

DICOM, JSON, XML, OCTETS = (
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "application/octet-stream",
)
MULTIPART = "multipart/related"
_MOST_BYTES, _MOST_RANGES = 4096, 50
_PARAMETER = re.compile(r';\s*([A-Za-z0-9-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)\s*')
_TYPE = re.compile(r"\s*([A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaType:
    """One accepted representation."""

    #: E.g. ``application/dicom``; of the parts where it is multipart; may end in ``*``.
    name: str
    is_multipart: bool = False
    #: ``""``: the default of the type; ``*``: as it is stored.
    transfer_syntax_uid: str = ""
    quality: float = 1.0

    def covers(self, name: str) -> bool:
        """Tell whether a type is accepted by this."""
        return self.name in (name, "*/*", f"{name.partition('/')[0]}/*")


def read_accept(headers: Sequence[str], parameter: str = "") -> list[MediaType]:
    """Return what is accepted, the preferred first; nothing said accepts everything.

    Parameters
    ----------
    parameter
        ``accept`` of the address: it goes before the header (PS3.18 8.3.3.1).

    Raises
    ------
    NotAcceptable
        If it cannot be understood.
    """
    text = parameter or ",".join(headers)
    if len(text) > _MOST_BYTES:
        raise NotAcceptable("The Accept header is too long.", limit=_MOST_BYTES)
    accepted = list(_iter_ranges(text)) or [MediaType(name="*/*"), MediaType(name="*/*", is_multipart=True)]
    return sorted((one for one in accepted if one.quality > 0), key=lambda one: -one.quality)


def choose(accepted: Iterable[MediaType], offered: Sequence[MediaType]) -> MediaType:
    """Return the best of what is accepted and offered, with what was asked of its transfer syntax.

    Parameters
    ----------
    offered
        In our order of preference: it decides between what is accepted alike.

    Raises
    ------
    NotAcceptable
        If there is none.
    """
    for _, alike in groupby(accepted, key=lambda one: one.quality):
        candidates = list(alike)
        for other in offered:
            for one in candidates:
                if one.is_multipart == other.is_multipart and one.covers(other.name):
                    return replace(other, transfer_syntax_uid=one.transfer_syntax_uid)
    names = ", ".join(dict.fromkeys(other.name for other in offered))
    raise NotAcceptable(offered=names)


def choose_syntax(chosen: MediaType, stored_uid: str) -> str:
    """Return the transfer syntax of an ``application/dicom`` answer.

    Raises
    ------
    NotAcceptable
        If it is neither what is stored nor Explicit VR Little Endian: we compress nothing.

    References
    ----------
    PS3.18 8.7.3.5.2: the default is Explicit VR Little Endian.
    """
    wanted = chosen.transfer_syntax_uid or EXPLICIT
    if wanted in ("*", stored_uid):
        return stored_uid
    if wanted != EXPLICIT:
        raise NotAcceptable("Objects are handed out as stored or in Explicit VR Little Endian.")
    return EXPLICIT


def _iter_ranges(text: str) -> Iterable[MediaType]:
    position, count = 0, 0
    while position < len(text):
        if text[position] in ", \t":
            position += 1
            continue
        found = _TYPE.match(text, position)
        count += 1
        if found is None or count > _MOST_RANGES:
            raise NotAcceptable("The Accept header cannot be understood.")
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, position):
            parameters[parameter[1].lower()] = parameter[2].strip('"')
            position = parameter.end()
        if position < len(text) and text[position] != ",":
            raise NotAcceptable("The Accept header cannot be understood.")
        yield from _media_types(found[1].lower(), parameters)


def _media_types(name: str, parameters: dict[str, str]) -> Iterable[MediaType]:
    syntax = parameters.get("transfer-syntax", "")
    if syntax not in ("", "*") and not is_uid(syntax):
        raise NotAcceptable("The transfer syntax is no UID.")
    quality = _quality(parameters.get("q", "1"))
    if name != MULTIPART:
        yield MediaType(name=name, transfer_syntax_uid=syntax, quality=quality)
    if name in (MULTIPART, "*/*", "multipart/*"):
        # Without a type the parts may be anything.
        inner = parameters.get("type", "*/*").lower()
        yield MediaType(name=inner, is_multipart=True, transfer_syntax_uid=syntax, quality=quality)


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise NotAcceptable("The Accept header has a quality that is no number.") from error
    return value if 0 <= value <= 1 else 1.0
