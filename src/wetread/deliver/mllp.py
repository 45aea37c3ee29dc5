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
from contextlib import ExitStack

from wetread.deliver.destination import Destination
from wetread.deliver.outcome import Outcome, failed, sent
from wetread.deliver.secure import connection_error, destination_context
from wetread.deliver.words import keep_known_words
from wetread.errors import NotAcknowledged, PeerError
from wetread.hl7 import parse_ack

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
    except PeerError as error:
        return failed(sop_instance_uid, error, transient=True)
    except (OSError, ValueError) as error:
        return failed(sop_instance_uid, connection_error(destination, error), transient=True)
    return _judge(destination, sop_instance_uid, control_id, answer)


def _exchange(destination: Destination, message: str) -> str:
    deadline = time.monotonic() + destination.timeout_s
    address = (destination.host, destination.port)
    context = destination_context(destination) if destination.tls else None
    with ExitStack() as stack:
        plain = socket.create_connection(address, timeout=destination.connect_timeout_s)
        connection = stack.enter_context(plain)
        if context is not None:
            secured = context.wrap_socket(plain, server_hostname=destination.host)
            connection = stack.enter_context(secured)
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
    while (begin := data.find(START)) < 0 or data.find(END, begin) < 0:
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
    return data[begin + 1 : data.index(END, begin)].decode("utf-8", "replace")


def _control_id(message: str) -> str:
    # MSH-10; MSH-1 is the separator itself.
    header = message.split("\r", 1)[0]
    fields = header.split(header[3:4] or "|")
    return fields[9] if len(fields) > 9 else ""


def _judge(destination: Destination, sop_instance_uid: str, control_id: str, answer: str) -> Outcome:
    try:
        acknowledgement = parse_ack(answer)
    except NotAcknowledged as error:
        return failed(sop_instance_uid, error, transient=True)
    # MSA-2 names the message that is answered: another's answer is none.
    if control_id and acknowledgement.control_id != control_id:
        problem = NotAcknowledged(
            "The destination acknowledged another message.", destination=destination.name
        )
        return failed(sop_instance_uid, problem, transient=True)
    if acknowledgement.code in ("AA", "CA"):
        return sent(sop_instance_uid)
    text = "".join(letter for letter in acknowledgement.text if letter.isprintable())[:120]
    status = f"{acknowledgement.code} {keep_known_words(text)}".strip()
    refused = NotAcknowledged(destination=destination.name, status=status)
    return failed(sop_instance_uid, refused, transient=_may_pass(answer))


def _may_pass(answer: str) -> bool:
    errors = [line.split("|") for line in answer.replace("\n", "\r").split("\r") if line.startswith("ERR")]
    return any(field.split("^")[0] == _INTERNAL_ERROR for fields in errors for field in fields[1:])
