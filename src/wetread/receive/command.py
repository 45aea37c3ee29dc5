"""Command sets of DIMSE messages, to and from bytes (PS3.7 6.3 and annex E).

In: a whole command set; what is to be answered.  Out: its elements; P-DATA-TF PDUs.
Never: a length that is believed; a PDU longer than the peer takes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wetread.receive.associate import DATA_TF, HEADER
from wetread.receive.spool import Spool

C_STORE_RQ, C_STORE_RSP, C_ECHO_RQ, C_ECHO_RSP, C_CANCEL_RQ = 0x0001, 0x8001, 0x0030, 0x8030, 0x0FFF
NO_DATA_SET = 0x0101
#: A command has no business to be larger.
COMMAND_LIMIT = 1 << 16

# Elements of the command set, group 0000 (PS3.7 E.1).
SOP_CLASS_UID, COMMAND_FIELD, MESSAGE_ID, DATA_SET_TYPE = 0x0002, 0x0100, 0x0110, 0x0800
_ANSWERED_MESSAGE_ID, _STATUS, _ERROR_COMMENT, SOP_INSTANCE_UID = 0x0120, 0x0900, 0x0902, 0x1000
MOVE_ORIGINATOR = 0x1030

#: Length, context and control of a presentation data value (PS3.8 9.3.5.1).
VALUE_HEADER = struct.Struct(">IBB")
_COMMAND, _LAST = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request; its data set is in the spool when it is handed on."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    calling_aet: str
    #: Where the sender is: an IP address.
    address: str
    #: Tells associations apart.
    association: object
    #: AE title of whoever asked the sender for it by C-MOVE; "": nobody did.
    move_originator: str
    spool: Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """The status of a C-STORE, and the reason in the sender's words."""

    status: int
    comment: str = ""


def decode_command(command: bytes, groups: tuple[int, ...] = (0,)) -> dict[int, bytes]:
    """Return the elements of a command set by number (PS3.7 6.3.1: implicit VR little endian).

    Parameters
    ----------
    groups
        What may stand in it; elements of others than group 0 are passed over.

    Raises
    ------
    ValueError
        If it is no command set.
    """
    elements = {}
    offset = 0
    while offset < len(command):
        if offset + 8 > len(command):
            raise ValueError("The command set is cut short.")
        group, number, length = struct.unpack_from("<HHI", command, offset)
        offset += 8
        if group not in groups or offset + length > len(command):
            raise ValueError("The command set is not one.")
        if group == 0:
            elements[number] = command[offset : offset + length]
        offset += length
    return elements


def command_number(elements: dict[int, bytes], number: int) -> int:
    """Return an element's unsigned short, 0 where it is missing."""
    value = elements.get(number, b"")
    return int.from_bytes(value[:2], "little")


def command_text(elements: dict[int, bytes], number: int) -> str:
    """Return an element's text, "" where it is missing."""
    return elements.get(number, b"").decode("ascii", "replace").strip("\0 ")


def encode_answer(request: StoreRequest, answer: StoreAnswer, maximum_length: int = 0) -> bytes:
    """Return C-STORE-RSP (PS3.7 9.3.1.2) in PDUs of the length that the peer takes."""
    # LO: at most 64 characters.
    comment = {_ERROR_COMMENT: _even(answer.comment[:64], b" ")} if answer.comment else {}
    return _encode(
        request.context_id,
        {
            SOP_CLASS_UID: _even(request.sop_class_uid, b"\0"),
            **_response(C_STORE_RSP, request.message_id, answer.status),
            **comment,
            SOP_INSTANCE_UID: _even(request.sop_instance_uid, b"\0"),
        },
        maximum_length,
    )


def encode_echo_answer(
    context_id: int, message_id: int, sop_class_uid: str, maximum_length: int = 0
) -> bytes:
    """Return C-ECHO-RSP with success (PS3.7 9.3.5.2)."""
    response = _response(C_ECHO_RSP, message_id, 0x0000)
    return _encode(context_id, {SOP_CLASS_UID: _even(sop_class_uid, b"\0"), **response}, maximum_length)


def _response(field: int, message_id: int, status: int) -> dict[int, bytes]:
    numbers = {
        COMMAND_FIELD: field,
        _ANSWERED_MESSAGE_ID: message_id,
        DATA_SET_TYPE: NO_DATA_SET,
        _STATUS: status,
    }
    return {number: struct.pack("<H", value) for number, value in numbers.items()}


def _encode(context_id: int, elements: dict[int, bytes], maximum_length: int) -> bytes:
    body = b"".join(_element(number, value) for number, value in elements.items())
    command = _element(0x0000, struct.pack("<I", len(body))) + body
    # Who takes less than one byte beside the header of a value gets one all the same.
    most = max(1, maximum_length - VALUE_HEADER.size) if maximum_length else len(command)
    pieces = [command[at : at + most] for at in range(0, len(command), most)]
    return b"".join(
        _encode_value(context_id, _COMMAND | (_LAST if number == len(pieces) else 0), piece)
        for number, piece in enumerate(pieces, start=1)
    )


def _encode_value(context_id: int, control: int, piece: bytes) -> bytes:
    value = VALUE_HEADER.pack(len(piece) + 2, context_id, control) + piece
    return HEADER.pack(DATA_TF, 0, len(value)) + value


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, number, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)
