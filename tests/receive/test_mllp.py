"""The MLLP listener and our own sender against each other, and what no sender should do."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.mllp import send_message
from wetread.domain.progress import DeliveryState
from wetread.errors import UnsafeBinding
from wetread.hl7 import parse_ack
from wetread.receive import mllp
from wetread.receive.mllp import Listener, MllpOptions, start_mllp_listener

MESSAGE = "MSH|^~\\&|WETREAD|AI|RIS|HOSPITAL|20260102||ORU^R01^ORU_R01|M1|P|2.5.1\rPID|1||P1\r"


class Box:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.code: str | None = None

    def take(self, text: str) -> str | None:
        self.messages.append(text)
        if self.code == "raise":
            raise ZeroDivisionError
        return self.code


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def listener(box: Box) -> Iterator[Listener]:
    running = start_mllp_listener(MllpOptions(port=0), box.take)
    yield running
    running.stop()


def ris(port: int, timeout_s: float = 5.0) -> Destination:
    return Destination(
        name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=port, timeout_s=timeout_s
    )


def exchange(port: int, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


def test_a_message_arrives_and_is_acknowledged(listener: Listener, box: Box) -> None:
    outcome = send_message(ris(listener.port), MESSAGE, "1.2.3")
    assert (outcome.state, outcome.sop_instance_uid) == (DeliveryState.SENT, "1.2.3")
    assert box.messages == [MESSAGE]


@pytest.mark.parametrize(("code", "answer"), [("AE", "AE"), ("AR", "AR"), ("raise", "AE")])
def test_a_refused_message_is_never_sent(listener: Listener, box: Box, code: str, answer: str) -> None:
    box.code = code
    outcome = send_message(ris(listener.port), MESSAGE, "1.2.3")
    assert outcome.state is DeliveryState.REFUSED
    assert (outcome.transient, outcome.code) == (False, "not-acknowledged")
    assert answer in outcome.message


def test_two_messages_and_dribble(listener: Listener, box: Box) -> None:
    frame = b"\x0b" + MESSAGE.encode() + b"\x1c\r"
    answer = exchange(listener.port, frame[:1], frame[1:50], frame[50:-1], frame[-1:] + frame)
    assert len(box.messages) == 2
    frames = [part.strip(b"\x0b") for part in answer.split(b"\x1c\r") if part]
    assert [parse_ack(part.decode()).code for part in frames] == ["AA", "AA"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x0bMSH|no end",
        b"no start\x1c\r",
        b"\x0bMSH|^~\\&|A\x0bMSH|^~\\&|B\x1c\r",
    ],
)
def test_no_message_no_callback(listener: Listener, box: Box, data: bytes) -> None:
    assert exchange(listener.port, data) == b""
    assert box.messages == []
    assert send_message(ris(listener.port), MESSAGE, "1").state is DeliveryState.SENT


def test_not_hl7_is_rejected(listener: Listener, box: Box) -> None:
    answer = exchange(listener.port, b"\x0bhello\x1c\r")
    assert parse_ack(answer.strip(b"\x0b\x1c\r").decode()).code == "AR"
    assert box.messages == []


def test_a_message_has_a_longest_length(
    listener: Listener, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp, "MESSAGE_LIMIT", 1 << 16)
    with contextlib.suppress(OSError):
        assert exchange(listener.port, b"\x0bMSH|", b"x" * (1 << 22)) == b""
    assert box.messages == []


def test_only_loopback() -> None:
    with pytest.raises(UnsafeBinding):
        start_mllp_listener(MllpOptions(host="0.0.0.0", port=0), lambda _: None)  # noqa: S104


def test_nobody_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = send_message(ris(port), MESSAGE, "1")
    assert (outcome.state, outcome.transient) == (DeliveryState.WAITING, True)
    assert outcome.code == "peer-unreachable"


def test_silence_has_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send_message(ris(silent.getsockname()[1], timeout_s=0.3), MESSAGE, "1")
    assert outcome.transient


@pytest.mark.parametrize(
    ("answer", "state", "transient"),
    [
        ("MSH|^~\\&|R\rMSA|AA|M1\r", DeliveryState.SENT, False),
        ("MSH|^~\\&|R\rMSA|AA|OTHER\r", DeliveryState.WAITING, True),
        ("MSH|^~\\&|R\rMSA|AE|M1|unknown patient\r", DeliveryState.REFUSED, False),
        ("MSH|^~\\&|R\rMSA|AR|M1\rERR|||207^Application internal error|E\r", DeliveryState.WAITING, True),
        ("MSH|^~\\&|R\r", DeliveryState.WAITING, True),
    ],
)
def test_what_answers_mean(answer: str, state: DeliveryState, transient: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x0b" + answer.encode() + b"\x1c\r")

        thread = threading.Thread(target=reply)
        thread.start()
        outcome = send_message(ris(server.getsockname()[1]), MESSAGE, "1")
        thread.join()
    assert (outcome.state, outcome.transient) == (state, transient)


def test_a_message_with_framing_inside_is_not_sent(listener: Listener, box: Box) -> None:
    outcome = send_message(ris(listener.port), MESSAGE + "\x1c\r\x0bMSH|", "1")
    assert outcome.state is not DeliveryState.SENT
    assert box.messages == []
