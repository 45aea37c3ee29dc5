"""Send one HL7 v2 message and await its acknowledgement.

In: a message and a destination.  Out: an outcome.
Never: "sent" without AA for this message; a wait without a limit.

Framing is MLLP, release 1 (HL7 v2.5.1 Appendix C of chapter 2): 0B message 1C 0D. The answer's MSA-1
decides (HL7 v2.5.1 2.9.2): AA (or CA) taken; AR (CR) rejected: the receiver does not take
such messages, or not now (HL7 table 0357 names 207 "application internal error" for what may pass), so
207 is tried again and the rest is for good; AE (CE) means that the content is not accepted: for good.
"""

from __future__ import annotations

import socket
import time

from wetread.deliver.destination import Destination
from wetread.deliver.outcome import Outcome, failed, sent
from wetread.errors import NotAcknowledged, PeerUnreachable

START = b"\x0b"
END = b"\x1c\r"
#: An acknowledgement is some hundred bytes.
_ACK_LIMIT = 64 << 10
#: HL7 table 0357: application internal error.
_INTERNAL_ERROR = "207"


def send_message(destination: Destination, message: str, sop_instance_uid: str) -> Outcome:
    """Send a message over a connection of its own and await the ACK; never raises for what the peer does.

    Parameters
    ----------
    message
        ER7, segments ended by carriage returns.
    sop_instance_uid
        Names the message in the outcome.
    """
    control_id = _control_id(message)
    try:
        answer = _exchange(destination, message)
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        problem = PeerUnreachable(destination=destination.name, reason=reason)
        return failed(sop_instance_uid, problem, transient=True)
    return _judge(destination, sop_instance_uid, control_id, answer)


def _exchange(destination: Destination, message: str) -> str:
    deadline = time.monotonic() + destination.timeout_s
    address = (destination.host, destination.port)
    with socket.create_connection(address, timeout=destination.connect_timeout_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(destination.timeout_s)
        connection.sendall(START + _enclosable(message) + END)
        return _read_frame(connection, deadline)


def _enclosable(message: str) -> bytes:
    data = message.encode("utf-8")
    # The framing has no escape: such a message would end early and begin another.
    if START in data or b"\x1c" in data:
        raise ValueError("The message contains MLLP's own framing characters.")
    return data


def _read_frame(connection: socket.socket, deadline: float) -> str:
    data = b""
    while END not in data:
        rest_s = deadline - time.monotonic()
        if rest_s <= 0:
            raise TimeoutError("No acknowledgement in time.")
        connection.settimeout(rest_s)
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("The connection ended before the acknowledgement.")
        data += piece
        if len(data) > _ACK_LIMIT:
            raise ValueError("The acknowledgement is too long.")
    begin = data.find(START)
    if begin < 0:
        raise ValueError("The acknowledgement is not framed by MLLP.")
    return data[begin + 1 : data.index(END, begin)].decode("utf-8", "replace")


def _control_id(message: str) -> str:
    # MSH-10; MSH-1 is the separator itself.
    header = message.split("\r", 1)[0]
    fields = header.split(header[3:4] or "|")
    return fields[9] if len(fields) > 9 else ""


def _judge(destination: Destination, sop_instance_uid: str, control_id: str, answer: str) -> Outcome:
    segments = [line.split("|") for line in answer.replace("\n", "\r").split("\r") if line]
    acknowledgement = next((fields for fields in segments if fields[0] == "MSA" and len(fields) > 1), None)
    # MSA-2 names the message that is answered: another's answer is none.
    if acknowledgement is None or (control_id and acknowledgement[2:3] != [control_id]):
        problem = PeerUnreachable(
            "The answer is no acknowledgement of this message.", destination=destination.name
        )
        return failed(sop_instance_uid, problem, transient=True)
    code = acknowledgement[1]
    if code in ("AA", "CA"):
        return sent(sop_instance_uid)
    text = _reason(segments, acknowledgement)
    error = NotAcknowledged(destination=destination.name, status=f"{code} {text}".strip())
    transient = any(
        _INTERNAL_ERROR in field.split("^") for fields in segments if fields[0] == "ERR" for field in fields
    )
    return failed(sop_instance_uid, error, transient=transient)


def _reason(segments: list[list[str]], acknowledgement: list[str]) -> str:
    """Return the peer's words, printable and short: MSA-3, else ERR-8 or ERR-3."""
    errors = next((fields for fields in segments if fields[0] == "ERR"), [])
    candidates = [*acknowledgement[3:4], *errors[8:9], *errors[3:4]]
    text = next((candidate for candidate in candidates if candidate), "")
    return "".join(letter for letter in text if letter.isprintable())[:120]
