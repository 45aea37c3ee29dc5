"""H55 to H58: HL7 that a sender or a receiver made up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.hostile.conftest import Target
from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.mllp import send_message
from wetread.domain.progress import DeliveryState
from wetread.hl7 import components, escape, make_ack, message, parse_ack, segment

HEAD = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|M1|P|2.5.1\r"
ADT = b"\x0bMSH|^~\\&|A|B|C|D|1||ADT^A40|M7|P|2.5\rPID|1||A^^^X\rMRG|B^^^X\r\x1c\r"
LONG_FIELD = b"\x0bMSH|^~\\&|" + b"A" * 1_000_000 + b"|B|C|D|1||ORU^R01|" + b"9" * 1_000_000 + b"\r\x1c\r"
CONTROLS = b"\x0bMSH|^~\\&|\x1b[2J|B|C|D|1||ORU^R01|M\x1c\x1b1\r\x1c\r"


def exchange(port: int, pieces: list[bytes]) -> bytes:
    """Send and read until the other side hangs up."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        contextlib.suppress(OSError),
    ):
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        pytest.param([b"\x0b" + HEAD], 0, id="H56-no-end"),
        pytest.param([b"\x0b", b"MSH|" + b"x" * (1 << 20), *[b"x" * (1 << 20)] * 99], 0, id="H56-100-mb"),
        pytest.param([b"\x0b" + HEAD + b"\x0b" + HEAD + b"\x1c\r"], 0, id="H56-two-in-one"),
        pytest.param([HEAD + b"\x1c\r"], 0, id="H56-no-start"),
        pytest.param([b"\x0b" + b"\xff\xfe\x00" * 99 + b"\x1c\r"], 1, id="H56-noise"),
        pytest.param([b"\x0bMSH|^~\\&|A|B|C|D|1||ORU^R01|M1|P|2|||||||EVIL\r\x1c\r"], 1, id="H56-msh-18"),
        pytest.param([b"\x0bMSH\x1c\r", b"\x0bMSH|\x1c\r", b"\x0bMSH||||\x1c\r"], 3, id="H56-short"),
        pytest.param([LONG_FIELD], 1, id="H56-long-fields"),
        pytest.param([CONTROLS], 1, id="H56-controls"),
        pytest.param([ADT, ADT], 2, id="H57-merge-replayed"),
    ],
)
def test_messages_from_anybody(pieces: list[bytes], answers: int, target: Target) -> None:
    answer = exchange(target.hl7_port, pieces)
    frames = [frame for frame in answer.split(b"\x1c\r") if frame]
    assert len(frames) == answers
    for frame in frames:
        assert len(frame) < 2000
        assert not set(frame[1:]) & (set(range(0x20)) - {0x0D})
        # Only results are taken: nothing of a merge or a replay can have an effect.
        assert parse_ack(frame.decode()).code == "AR"
    if answers == 0 and pieces[0] != b"\x0b" + HEAD:
        with target.service.store() as store:
            assert "unreadable-message" in {event.code for event in store.history.list_newest(50)}


def test_many_connections_share_their_memory(target: Target) -> None:
    """H56: 30 senders of 15 MB each at once: less is held than one door may hold."""
    with contextlib.ExitStack() as stack:
        senders = [
            stack.enter_context(socket.create_connection(("127.0.0.1", target.hl7_port), timeout=5))
            for _ in range(30)
        ]
        for sender in senders:
            with contextlib.suppress(OSError):
                sender.sendall(b"\x0bMSH|" + b"x" * (15 << 20))


VALUES = ("a\rPID|1||EVIL", "a|b^c~d&e", "\\X0D\\PID|1", "\\.br\\OBX|1", "x\x0b\x1c\r", "\x85OBX|\u2028PID|")


@pytest.mark.parametrize("value", VALUES, ids=[f"H55-{n}" for n in range(len(VALUES))])
def test_no_value_becomes_a_segment(value: str) -> None:
    made = message(segment("PID", 1, "", components(value, value), escape(value)), segment("OBX", 1, value))
    lines = made.split("\r")
    assert [line[:3] for line in lines] == ["PID", "OBX", ""]
    assert lines[0].count("|") == 4
    assert not any(ord(letter) < 0x20 for letter in "".join(lines))


def test_an_answer_repeats_no_segment() -> None:
    """H55: what we answer holds two segments, whatever MSH says."""
    nasty = "MSH|^~\\&|A\\X0D\\MSA|B\x0bMSA|C|D|1||ORU^R01^X|M\x1c1\\X0D\\MSA|P"
    answer = make_ack(nasty, "AR", "a\rMSA|AA|M1")
    assert [line[:3] for line in answer.split("\r")] == ["MSH", "MSA", ""]
    assert parse_ack(answer).code == "AR"


ACK = b"MSH|^~\\&|R|R|W|W|1||ACK|1|P|2.5\r"


@contextlib.contextmanager
def receiver(answer: list[bytes]) -> Iterator[int]:
    """A receiver that answers whatever it gets with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 16)
                for piece in answer:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        pytest.param([b"\x0b" + ACK + b"MSA|AA|OTHER\r\x1c\r"], DeliveryState.WAITING, id="H58-other-id"),
        pytest.param([b"\x0b" + ACK + b"MSA|ZZ|M1\r\x1c\r"], DeliveryState.WAITING, id="H58-no-code"),
        pytest.param([b"\x0b" + ACK + b"\x1c\r"], DeliveryState.WAITING, id="H58-no-msa"),
        pytest.param(
            [b"\x0b" + ACK + b"MSA|AE|M1|" + b"x" * 60_000 + b"\r\x1c\r"],
            DeliveryState.REFUSED,
            id="H58-long",
        ),
        pytest.param(
            [b"\x0b" + ACK + b"MSA|AE|M1|\x1b[2J\n<script>\r\x1c\r"], DeliveryState.REFUSED, id="H58-text"
        ),
        pytest.param([b"\x0b" + b"x" * (1 << 20)], DeliveryState.WAITING, id="H58-endless"),
        pytest.param([b"\xff" * 100 + b"\x1c\r"], DeliveryState.WAITING, id="H58-noise"),
        pytest.param([b"\x1c\r\x0b" + ACK + b"MSA|AA|M1\r\x1c\r"], DeliveryState.SENT, id="H58-early-end"),
        pytest.param([b"\x0b" + ACK + b"MSA|AE|M1\rMSA|AA|M1\r\x1c\r"], DeliveryState.REFUSED, id="H58-two"),
        pytest.param([], DeliveryState.WAITING, id="H58-hangs-up"),
    ],
)
def test_what_a_receiver_says_never_counts_for_more_than_it_is(
    answer: list[bytes], state: DeliveryState
) -> None:
    with receiver(answer) as port:
        ris = Destination(name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=port, timeout_s=5)
        outcome = send_message(ris, HEAD.decode() + "OBX|1\r", "1.2.3")
    assert outcome.state is state
    assert len(outcome.message) < 400
    assert outcome.message.isprintable()
