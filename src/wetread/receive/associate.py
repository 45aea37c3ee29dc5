"""The association request as it comes, and how it is turned down (PS3.8 9.3).

In: bytes of one A-ASSOCIATE-RQ.  Out: what it asks for; the PDUs that reject and abort.
Never: a length that is believed; a list without an end; a user's name or password (they are not looked at).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

#: Type, reserved, length.
HEADER = struct.Struct(">BBI")
ASSOCIATE_RQ = 0x01
#: 128 contexts with some transfer syntaxes each are 50 KiB, a ticket in the user identity is 64 KiB at most.
REQUEST_LIMIT = 256 << 10

_FIXED = struct.Struct(">H2x16s16s32x")
_ITEM = struct.Struct(">BxH")
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_MAXIMUM_CONTEXTS = 128
_MAXIMUM_SYNTAXES = 64
_UID_LIMIT = 64


class Abort(IntEnum):
    """Why a PDU ends the connection (PS3.8 Table 9-26, source 2: the upper layer)."""

    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """What an association is asked for."""

    calling_aet: str
    called_aet: str
    #: Bit 0 stands for version 1, the only one there is.
    protocol_version: int
    application_context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why an association is turned down: numbers for the peer (PS3.8 Table 9-21), words for us."""

    result: int
    source: int
    reason: int
    words: str

    def encode(self) -> bytes:
        """Return A-ASSOCIATE-RJ."""
        return HEADER.pack(0x03, 0, 4) + bytes((0, self.result, self.source, self.reason))


def encode_abort(reason: Abort) -> bytes:
    """Return A-ABORT by the upper layer."""
    return HEADER.pack(0x07, 0, 4) + bytes((0, 0, 2, reason))


def parse_request(body: bytes) -> AssociateRequest:
    """Return what the request asks for, after a look at all of its items.

    Raises
    ------
    ValueError
        If a length does not fit, a presentation context is none, or there are too many.
    """
    if len(body) < _FIXED.size:
        raise ValueError("The request is too short.")
    version, called, calling = _FIXED.unpack_from(body)
    # PS3.5 6.2, VR AE. What it calls us is compared and needs no such check.
    if any(letter < 0x20 or letter > 0x7E for letter in calling):
        raise ValueError("Its AE title holds characters that no title has.")
    application = b""
    context_ids: set[int] = set()
    for kind, value in _iter_items(body[_FIXED.size :]):
        if kind == 0x10:
            application = value
        elif kind == 0x20:
            _check_context(value, context_ids)
        elif kind == 0x50:
            # Maximum length, names, roles, identity: only their shape matters here.
            for _ in _iter_items(value):
                pass
    if not context_ids:
        raise ValueError("The request proposes nothing.")
    return AssociateRequest(
        calling_aet=_title(calling),
        called_aet=_title(called),
        protocol_version=version,
        application_context=application.rstrip(b"\0 ").decode("ascii", "replace"),
    )


def is_dicom(request: AssociateRequest) -> bool:
    """Tell whether the application context is that of DICOM (PS3.7 A.2.1)."""
    return request.application_context == _APPLICATION_CONTEXT.decode()


def _iter_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        if offset + _ITEM.size > len(data):
            raise ValueError("An item is cut short.")
        kind, length = _ITEM.unpack_from(data, offset)
        offset += _ITEM.size
        if offset + length > len(data):
            raise ValueError("An item is longer than what holds it.")
        yield kind, data[offset : offset + length]
        offset += length


def _check_context(value: bytes, known: set[int]) -> None:
    if len(value) < 4:
        raise ValueError("A presentation context is cut short.")
    number = value[0]
    # PS3.8 9.3.2.2: odd, each once; so there cannot be more than 128.
    if number % 2 == 0 or number in known or len(known) >= _MAXIMUM_CONTEXTS:
        raise ValueError("A presentation context has a wrong number.")
    known.add(number)
    kinds = []
    for kind, uid in _iter_items(value[4:]):
        kinds.append(kind)
        if kind in (0x30, 0x40) and not 0 < len(uid.rstrip(b"\0 ")) <= _UID_LIMIT:
            raise ValueError("A syntax has a name that is no UID.")
    if kinds.count(0x30) != 1 or 0x40 not in kinds:
        raise ValueError("A presentation context names no abstract or no transfer syntax.")
    if kinds.count(0x40) > _MAXIMUM_SYNTAXES:
        raise ValueError("A presentation context has too many transfer syntaxes.")


def _title(value: bytes) -> str:
    # Leading and trailing spaces do not count. It is shown: nothing in it may act.
    text = value.decode("ascii", "replace").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)
