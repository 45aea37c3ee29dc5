r"""HL7 version 2.5.1 messages: segments, escaping, acknowledgements.

In: plain values.  Out: messages that hold exactly the segments asked for; the fields of an answer.
Never: a delimiter or a line end of a value that reaches the message unescaped.

A message is text, its segments end with ``\r``; on the wire it is UTF-8 (MSH-18 ``UNICODE UTF-8``).
Reference: HL7 v2.5.1 chapter 2 (2.7 escape sequences, 2.14 message control).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wetread.errors import NotAcknowledged

FIELD, COMPONENT, REPETITION, ESCAPE, SUBCOMPONENT = "|", "^", "~", "\\", "&"
SEGMENT_END = "\r"
CHARACTER_SET = "UNICODE UTF-8"
VERSION = "2.5.1"

_ESCAPES = {ESCAPE: "\\E\\", FIELD: "\\F\\", COMPONENT: "\\S\\", REPETITION: "\\R\\", SUBCOMPONENT: "\\T\\"}
_UNESCAPES = {"E": ESCAPE, "F": FIELD, "S": COMPONENT, "R": REPETITION, "T": SUBCOMPONENT, ".br": "\n"}
# C0, DEL, C1 and the separators that some readers take for line ends.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPED = re.compile(r"\\([^\\]*)\\")
#: HL7 v2.5.1 2.A.13 and 2.14.9 say 227 and 20; some senders use more for the control id.
_LONGEST_NAME, _LONGEST_CONTROL_ID = 227, 199
_ACK_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})


class Escaped(str):
    """Text that already is HL7: delimiters in it are meant."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a receiver answered (MSA and ERR segments)."""

    #: ``AA``/``CA`` accepted, ``AE``/``CE`` error, ``AR``/``CR`` rejected.
    code: str
    #: Control id of the message that is answered.
    control_id: str
    #: In words; ``""`` where none were given.
    text: str = ""

    @property
    def is_accepted(self) -> bool:
        """True for AA and CA."""
        return self.code in ("AA", "CA")


def escape(text: str) -> Escaped:
    r"""Return text as one (sub)component; line ends become ``\.br\``, other controls blanks."""
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    lines = re.split("\r\n|\r|\n|\x85|\u2028|\u2029", escaped)
    return Escaped("\\.br\\".join(_CONTROL.sub(" ", line) for line in lines))


def unescape(text: str) -> str:
    """Return the text that was escaped; sequences that we do not know stay as they are."""
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[0]), text)


def components(*parts: str) -> Escaped:
    """Return a field of several components, each escaped, without empty ones at the end."""
    return Escaped(COMPONENT.join(_escape_once(part) for part in parts).rstrip(COMPONENT))


def segment(name: str, *fields: str | int) -> str:
    """Return a segment; fields are escaped unless they are ``Escaped``, empty ones at the end left out."""
    texts = [_escape_once(str(field) if isinstance(field, int) else field) for field in fields]
    return FIELD.join([name, *texts]).rstrip(FIELD)


def message(*segments: str) -> str:
    """Return segments as a message."""
    return "".join(f"{one}{SEGMENT_END}" for one in segments)


def timestamp(moment: datetime) -> str:
    """Return a moment as DTM, with its offset where it has one."""
    return moment.strftime("%Y%m%d%H%M%S%z")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHead:
    """What MSH says beside the constants."""

    #: Type, event and structure, e.g. ``("ORU", "R01", "ORU_R01")``.
    message_type: tuple[str, ...]
    #: At most 20 characters; the answer repeats it.
    control_id: str
    made_at: datetime
    sending_application: str = "WETREAD"
    sending_facility: str = "WETREAD"
    receiving_application: str = ""
    receiving_facility: str = ""


def header_segment(head: MessageHead) -> str:
    """Return MSH (HL7 v2.5.1 2.14.9)."""
    # MSH-1 is the separator itself, so that the second field written here is MSH-3.
    return segment(
        "MSH",
        Escaped("^~\\&"),
        head.sending_application,
        head.sending_facility,
        head.receiving_application,
        head.receiving_facility,
        timestamp(head.made_at),
        "",
        components(*head.message_type),
        head.control_id,
        "P",
        VERSION,
        *[""] * 5,
        CHARACTER_SET,
    )


def set_receiver(text: str, application: str, facility: str) -> str:
    """Return the message addressed to a receiver (MSH-5, MSH-6); nothing else changes."""
    first, end, rest = text.partition(SEGMENT_END)
    fields = first.split(FIELD)
    fields[4:6] = [escape(application), escape(facility)]
    return FIELD.join(fields) + end + rest


def make_ack(text: str, code: str, reason: str = "", *, made_at: datetime | None = None) -> str:
    """Return the acknowledgement of a message, sent back to where it came from.

    Parameters
    ----------
    text
        The message, or what was taken for one: an answer is due in any case.
    made_at
        Moment of the answer; now where it is not given.

    Raises
    ------
    ValueError
        If the code is none of HL7 table 0008.
    """
    if code not in _ACK_CODES:
        raise ValueError(f"{code!r} is no acknowledgement code")
    fields = _header_fields(text)
    control_id = _CONTROL.sub(" ", get_field(fields, 9))[:_LONGEST_CONTROL_ID]
    head = MessageHead(
        message_type=("ACK", *_short(fields, 8).split(COMPONENT)[1:2], "ACK"),
        control_id=f"A{control_id}"[:20],
        made_at=made_at or datetime.now(UTC),
        sending_application=_short(fields, 4) or "WETREAD",
        sending_facility=_short(fields, 5) or "WETREAD",
        receiving_application=_short(fields, 2),
        receiving_facility=_short(fields, 3),
    )
    return message(header_segment(head), segment("MSA", code, Escaped(control_id), reason))


def parse_ack(text: str) -> Acknowledgement:
    """Return what an acknowledgement says.

    Raises
    ------
    NotAcknowledged
        If the text is no acknowledgement.
    """
    segments = _split(text)
    found = [fields for fields in segments if fields[0] == "MSA"]
    if not segments or segments[0][0] != "MSH" or not found or get_field(found[0], 1) not in _ACK_CODES:
        raise NotAcknowledged("The destination's answer is no HL7 acknowledgement: ask its administrator.")
    msa = found[0]
    errors = [get_field(fields, 8) or get_field(fields, 7) for fields in segments if fields[0] == "ERR"]
    reason = get_field(msa, 3) or next((error for error in errors if error), "")
    code, control_id = get_field(msa, 1), unescape(get_field(msa, 2))
    return Acknowledgement(code=code, control_id=control_id, text=unescape(reason))


def read_segments(text: str) -> list[list[str]]:
    """Return the segments of a message, each as its fields as they are written, its name first.

    Empty where it is no message with the usual delimiters. In ``MSH`` the field n is at n - 1.
    """
    segments = _split(text)
    is_ours = bool(segments) and segments[0][:2] == ["MSH", f"{COMPONENT}{REPETITION}{ESCAPE}{SUBCOMPONENT}"]
    return segments if is_ours else []


def _split(text: str) -> list[list[str]]:
    lines = re.split("[\r\n]+", text.strip("\x0b\x1c\r\n "))
    return [line.split(FIELD) for line in lines if line]


def get_field(segment: Sequence[str], index: int) -> str:
    """Return a field as it is written, ``""`` where the segment ends before it."""
    return segment[index].strip() if index < len(segment) else ""


def _header_fields(text: str) -> list[str]:
    first = re.split("[\r\n]", text.lstrip("\x0b\r\n "), maxsplit=1)[0]
    return first.split(FIELD) if first.startswith("MSH") else []


def _short(fields: list[str], index: int) -> str:
    """Return a field that an answer repeats: whoever sends megabytes does not get them back."""
    return unescape(get_field(fields, index))[:_LONGEST_NAME]


def _escape_once(text: str) -> Escaped:
    return text if isinstance(text, Escaped) else escape(text)
