"""The association request as it comes, and how it is turned down (PS3.8 9.3).

In: bytes of one A-ASSOCIATE-RQ.  Out: what it asks for; the PDUs that reject, release and abort.
Never: a length that is believed; a list without an end; a user's name or password (they are not looked at).
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import IntEnum

#: Type, reserved, length.
HEADER = struct.Struct(">BBI")
ASSOCIATE_RQ, ASSOCIATE_AC, DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = 0x01, 0x02, 0x04, 0x05, 0x06, 0x07
#: 128 contexts with some transfer syntaxes each are 50 KiB, a ticket in the user identity is 64 KiB at most.
REQUEST_LIMIT = 256 << 10

_FIXED = struct.Struct(">H2x16s16s32x")
_ITEM = struct.Struct(">BxH")
_APPLICATION, _CONTEXT, _ABSTRACT, _TRANSFER, _USER, _LENGTH = 0x10, 0x20, 0x30, 0x40, 0x50, 0x51
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_MAXIMUM_SYNTAXES = 64
_UID_LIMIT = 64
#: Where the request does not say how long our PDUs may be, as it must.
_DEFAULT_LENGTH = 1 << 14


class Abort(IntEnum):
    """Why a PDU ends the connection (PS3.8 Table 9-26, source 2: the upper layer)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """A presentation context that is asked for."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """What an association is asked for."""

    calling_aet: str
    called_aet: str
    #: Bit 0 stands for version 1, the only one there is.
    protocol_version: int
    application_context: str
    contexts: tuple[ProposedContext, ...] = ()
    #: Longest P-DATA-TF that the peer takes, without type and length; 0: any.
    maximum_length: int = _DEFAULT_LENGTH
    #: Called and calling title and what is reserved after them, as they came: an answer repeats them.
    titles: bytes = bytes(64)


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
    return HEADER.pack(ABORT, 0, 4) + bytes((0, 0, 2, reason))


def encode_release() -> bytes:
    """Return A-RELEASE-RP."""
    return HEADER.pack(RELEASE_RP, 0, 4) + bytes(4)


def encode_item(kind: int, value: bytes) -> bytes:
    """Return an item or sub-item of an association's PDU."""
    return _ITEM.pack(kind, len(value)) + value


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
    application, maximum_length = b"", _DEFAULT_LENGTH
    contexts: dict[int, ProposedContext] = {}
    for kind, value in _iter_items(body[_FIXED.size :]):
        if kind == _APPLICATION:
            application = value
        elif kind == _CONTEXT:
            context = _parse_context(value, contexts)
            contexts[context.id] = context
        elif kind == _USER:
            maximum_length = _parse_length(value, maximum_length)
    if not contexts:
        raise ValueError("The request proposes nothing.")
    return AssociateRequest(
        calling_aet=_title(calling),
        called_aet=_title(called),
        protocol_version=version,
        application_context=_uid(application),
        contexts=tuple(contexts.values()),
        maximum_length=maximum_length,
        titles=body[4 : _FIXED.size],
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


def _parse_context(value: bytes, known: Container[int]) -> ProposedContext:
    if len(value) < 4:
        raise ValueError("A presentation context is cut short.")
    # PS3.8 9.3.2.2: odd, each once; so there cannot be more than 128.
    if value[0] % 2 == 0 or value[0] in known:
        raise ValueError("A presentation context has a wrong number.")
    syntaxes: dict[int, list[str]] = {_ABSTRACT: [], _TRANSFER: []}
    for kind, uid in _iter_items(value[4:]):
        if kind not in syntaxes:
            continue
        if not 0 < len(uid.rstrip(b"\0 ")) <= _UID_LIMIT:
            raise ValueError("A syntax has a name that is no UID.")
        syntaxes[kind].append(_uid(uid))
    abstract, transfer = syntaxes.values()
    if len(abstract) != 1 or not transfer:
        raise ValueError("A presentation context names no abstract or no transfer syntax.")
    if len(transfer) > _MAXIMUM_SYNTAXES:
        raise ValueError("A presentation context has too many transfer syntaxes.")
    return ProposedContext(id=value[0], abstract_syntax=abstract[0], transfer_syntaxes=tuple(transfer))


def _parse_length(user: bytes, maximum_length: int) -> int:
    # Names, roles, windows, identity: only their shape matters here (``negotiate`` says why).
    for kind, value in _iter_items(user):
        if kind == _LENGTH and len(value) == 4:
            maximum_length = int.from_bytes(value, "big")
    return maximum_length


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def _title(value: bytes) -> str:
    # Leading and trailing spaces do not count. It is shown: nothing in it may act.
    text = value.decode("ascii", "replace").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)
