"""The upper layer without a socket: whatever way the bytes come, the same is said and stored."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.network.bytes_of import (
    CT,
    VERIFICATION,
    command,
    context,
    identity,
    item,
    pdu,
    request,
    store,
    value,
)
from wetread.receive import spool as spools
from wetread.receive.associate import HEADER, parse_request
from wetread.receive.command import StoreAnswer, StoreRequest
from wetread.receive.negotiate import agree, stores_only
from wetread.receive.protocol import Ending, Fill, Protocol, Send, Setting, Store
from wetread.receive.spool import Basin, Spool, encode_file_meta
from wetread.store.cipher import Vault

RELEASE, ABORT = pdu(5, bytes(4)), pdu(7, bytes(4))
DATA = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(range(256)) * 3
EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass
class Line:
    """A protocol, and everything that it said and stored."""

    folder: Path
    ask: bytes = field(default_factory=request)
    instance_limit: int = 1 << 30
    status: int = 0
    said: list[bytes] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    requests: list[StoreRequest] = field(default_factory=list)
    errors: list[OSError | None] = field(default_factory=list)
    ending: Ending | None = None
    protocol: Protocol = field(init=False)

    def __post_init__(self) -> None:
        basin = Basin()
        setting = Setting(
            maximum_length=1 << 17,
            instance_limit=self.instance_limit,
            open_spool=lambda: Spool(self.folder, Vault(self.folder), basin),
            address="127.0.0.1",
            association=self,
        )
        self.protocol = Protocol(agree(parse_request(self.ask[HEADER.size :])), setting)

    def hear(self, pieces: Iterable[bytes]) -> Line:
        """Feed pieces, each as one read; then the peer hangs up."""
        steps, feed, rest = self.protocol.run(), iter(pieces), b""
        answer: int | StoreAnswer | None = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                if isinstance(step, Fill):
                    rest = rest or next((piece for piece in feed if piece), b"")
                    answer = min(len(rest), len(step.view))
                    step.view[:answer], rest = rest[:answer], rest[answer:]
                elif isinstance(step, Send):
                    self.said.append(step.data)
                else:
                    answer = self._store(step)
        except StopIteration as end:
            self.ending = end.value
        return self

    def _store(self, step: Store) -> StoreAnswer:
        spool = step.request.spool
        self.requests.append(step.request)
        self.errors.append(spool.error)
        if spool.error is None:
            self.stored.append(spool.path.read_bytes())
            if spool.content is not None:
                assert bytes(spool.content) == self.stored[-1]
        return StoreAnswer(status=self.status)

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers."""
        return [status_of(answer) for answer in self.said[1:] if answer[0] == 4]

    @property
    def last(self) -> bytes:
        """What was said last."""
        return self.said[-1]


@pytest.fixture(autouse=True)
def leaves_nothing(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.iterdir()) == []


def status_of(answer: bytes) -> int:
    commands = b"".join(value[1] for value in iter_values(answer))
    at = commands.index(b"\0\0\x00\x09\x02\0\0\0")
    return int.from_bytes(commands[at + 8 : at + 10], "little")


def iter_values(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield control and fragment of each value of P-DATA-TF PDUs with one value each."""
    while stream:
        kind, _, length = struct.unpack_from(">BBI", stream)
        assert kind == 4
        size, _, control = struct.unpack_from(">IBB", stream, 6)
        assert size == length - 4
        yield control, stream[12 : 6 + length]
        stream = stream[6 + length :]


def file_of(data: bytes, uid: str = "1.2.3") -> bytes:
    return encode_file_meta(CT.decode(), uid, EXPLICIT) + data


def split_at(stream: bytes, at: int) -> list[bytes]:
    return [stream[:at], stream[at:]]


def test_split_at_every_byte(tmp_path: Path) -> None:
    stream = store(DATA[:300]) + RELEASE
    for at in range(len(stream)):
        line = Line(tmp_path).hear(split_at(stream, at))
        assert line.stored == [file_of(DATA[:300])], at
        assert line.statuses == [0]
        assert (line.last, line.ending) == (pdu(6, bytes(4)), Ending.RELEASED)


def test_byte_by_byte_and_all_at_once(tmp_path: Path) -> None:
    stream = store(DATA) + store(DATA[::-1], b"1.2.4") + RELEASE
    for pieces in ([stream], [bytes([one]) for one in stream]):
        line = Line(tmp_path).hear(pieces)
        assert line.stored == [file_of(DATA), file_of(DATA[::-1], "1.2.4")]
        assert line.ending is Ending.RELEASED


@pytest.mark.parametrize("size", [1, 7, 11, 4096])
def test_small_values_and_an_empty_last_one(tmp_path: Path, size: int) -> None:
    asked = command(1)
    commands = [value(1, asked[at : at + size]) for at in range(0, len(asked), size)]
    data = [value(0, DATA[at : at + size]) for at in range(0, len(DATA), size)]
    values = [*commands, value(3, b""), *data, value(2, b"")]
    for stream in (b"".join(pdu(4, one) for one in values), pdu(4, b"".join(values))):
        line = Line(tmp_path).hear([stream, RELEASE])
        assert line.stored == [file_of(DATA)]
        assert line.statuses == [0]


def test_empty_values_in_the_middle(tmp_path: Path) -> None:
    values = [
        value(1, b""),
        value(3, command(1)),
        value(0, b""),
        value(0, DATA),
        value(0, b""),
        value(2, b""),
    ]
    assert Line(tmp_path).hear([pdu(4, b"".join(values))]).stored == [file_of(DATA)]


def test_the_status_and_the_message_are_those_of_the_request(tmp_path: Path) -> None:
    line = Line(tmp_path, status=0xA700).hear([store(DATA)])
    [(control, answer)] = iter_values(line.last)
    assert control == 3
    # Command Field, Message ID Being Responded To, Data Set Type, Status.
    for expected in (b"\0\0\0\x01\x02\0\0\0\x01\x80", b"\0\0\x20\x01\x02\0\0\0\x07\0"):
        assert expected in answer
    assert b"\0\0\0\x08\x02\0\0\0\x01\x01" in answer
    assert line.statuses == [0xA700]


@pytest.mark.parametrize("longest", [7, 20, 64, 100])
def test_answers_are_as_short_as_the_peer_wants(tmp_path: Path, longest: int) -> None:
    ask = request().replace(struct.pack(">I", 16384), struct.pack(">I", longest))
    line = Line(tmp_path, ask=ask).hear([store(DATA)])
    whole = Line(tmp_path).hear([store(DATA)])
    values = list(iter_values(line.last))
    assert max(len(fragment) + 6 for _, fragment in values) <= longest
    assert [control for control, _ in values] == [1] * (len(values) - 1) + [3]
    assert b"".join(fragment for _, fragment in values) == next(iter_values(whole.last))[1]


def test_echo_and_cancel(tmp_path: Path) -> None:
    ask = request(context(1, VERIFICATION), context(3))
    echo = pdu(4, value(3, command(0x30, data_set=0x0101, sop_class=VERIFICATION)))
    cancel = pdu(4, value(3, command(0x0FFF, data_set=0x0101)))
    line = Line(tmp_path, ask=ask).hear([echo, cancel, echo, RELEASE])
    assert line.statuses == [0, 0]
    assert line.ending is Ending.RELEASED


def test_a_request_without_a_data_set_is_answered(tmp_path: Path) -> None:
    line = Line(tmp_path, status=0xC000).hear([pdu(4, value(3, command(1, data_set=0x0101))), RELEASE])
    assert [one.spool.size for one in line.requests] == [0]
    assert (line.statuses, line.ending) == ([0xC000], Ending.RELEASED)


@pytest.mark.parametrize("kept", [0, 1, 5, 6, 9, 11, 12, 60, 300, -1])
def test_who_hangs_up_has_stored_nothing(tmp_path: Path, kept: int) -> None:
    line = Line(tmp_path).hear([store(DATA)[:kept]])
    assert (line.stored, line.ending, len(line.said)) == ([], Ending.LOST, 1)


@pytest.mark.parametrize("whole", [True, False])
def test_an_abort_is_not_answered(tmp_path: Path, whole: bool) -> None:
    begun = store(DATA) if whole else pdu(4, value(3, command(1)) + value(0, DATA))
    line = Line(tmp_path).hear([begun + ABORT])
    assert line.ending is Ending.LOST
    assert len(line.said) == (2 if whole else 1)


def test_a_release_in_the_middle_of_a_message(tmp_path: Path) -> None:
    line = Line(tmp_path).hear([pdu(4, value(3, command(1)) + value(0, DATA)), RELEASE])
    assert (line.stored, line.last, line.ending) == ([], pdu(6, bytes(4)), Ending.BROKEN)


UNRECOGNIZED, UNEXPECTED, INVALID = 1, 2, 6


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        pytest.param(b"\x99\0\0\0\0\x04abcd", UNRECOGNIZED, id="unknown"),
        pytest.param(b"\0\0\0\0\0\x04abcd", UNRECOGNIZED, id="zero"),
        pytest.param(request(), UNEXPECTED, id="request-again"),
        pytest.param(pdu(2, bytes(4)), UNEXPECTED, id="accept"),
        pytest.param(pdu(6, bytes(4)), UNEXPECTED, id="release-answer"),
        pytest.param(pdu(5, bytes(5)), INVALID, id="long-release"),
        pytest.param(pdu(5, b""), INVALID, id="empty-release"),
        pytest.param(b"\x04\0\xff\xff\xff\xff", INVALID, id="4GiB"),
        pytest.param(struct.pack(">BBI", 4, 0, (1 << 20) + 1), INVALID, id="beyond-the-limit"),
        pytest.param(pdu(4, b""), INVALID, id="no-value"),
        pytest.param(pdu(4, b"12345"), INVALID, id="half-a-value"),
        pytest.param(pdu(4, struct.pack(">IBB", 0, 1, 3)), INVALID, id="length-0"),
        pytest.param(pdu(4, struct.pack(">IBB", 1, 1, 3)), INVALID, id="length-1"),
        pytest.param(pdu(4, struct.pack(">IBB", 3, 1, 3)), INVALID, id="longer-than-the-pdu"),
        pytest.param(pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + b"x"), INVALID, id="lies"),
        pytest.param(pdu(4, value(3, command(1)) + b"123"), INVALID, id="rest"),
        pytest.param(pdu(4, value(3, b"\0\0\0\0\xff\xff\xff\xff")), INVALID, id="command-lies"),
        pytest.param(pdu(4, value(3, b"\x08\0\0\0\0\0\0\0")), INVALID, id="no-command"),
        pytest.param(pdu(4, value(3, command(1), number=99)), INVALID, id="unknown-context"),
        pytest.param(pdu(4, value(1, b"x" * 40_000)) * 2, INVALID, id="endless-command"),
        pytest.param(pdu(4, value(2, DATA)), UNEXPECTED, id="data-without-a-command"),
        pytest.param(pdu(4, value(3, command(1)) * 2), UNEXPECTED, id="command-instead-of-data"),
        pytest.param(
            pdu(4, value(3, command(1)) + value(2, DATA, number=3)), UNEXPECTED, id="data-elsewhere"
        ),
        pytest.param(
            pdu(4, value(1, command(1)[:20]) + value(3, command(1)[20:], number=3)),
            UNEXPECTED,
            id="command-elsewhere",
        ),
        pytest.param(pdu(4, value(3, command(0x20))), UNEXPECTED, id="find"),
        pytest.param(pdu(4, value(3, command(0x8001))), UNEXPECTED, id="response"),
        pytest.param(pdu(4, value(3, command(0x30, data_set=0x0101))), UNEXPECTED, id="echo-for-ct"),
        pytest.param(pdu(4, value(3, command(1), number=5)), UNEXPECTED, id="store-for-verification"),
    ],
)
def test_what_is_no_protocol_is_aborted(tmp_path: Path, stream: bytes, reason: int) -> None:
    ask = request(context(1), context(3), context(5, VERIFICATION))
    line = Line(tmp_path, ask=ask).hear([store(DATA), stream])
    assert (line.last, line.ending) == (pdu(7, bytes((0, 0, 2, reason))), Ending.BROKEN)
    assert line.stored == [file_of(DATA)]


def test_beyond_the_limit_the_rest_is_thrown_away(tmp_path: Path) -> None:
    pieces = [pdu(4, value(3, command(1))), *[pdu(4, value(0, bytes(1 << 16)))] * 80, pdu(4, value(2, b""))]
    line = Line(tmp_path, instance_limit=3 << 20, status=0xA700).hear([*pieces, store(DATA, b"1.2.4")])
    [error, none] = line.errors
    assert error is not None
    assert none is None
    assert line.stored == [file_of(DATA, "1.2.4")]


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 20) - 400, 1 << 20, (3 << 20) + 17])
def test_large_ones_go_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(spools, "MEMORY_LIMIT", 1 << 20)
    data = bytes(number % 251 for number in range(size))
    pieces = [value(0, data[at : at + 70_000]) for at in range(0, size, 70_000)]
    stream = pdu(4, value(3, command(1))) + b"".join(pdu(4, one) for one in pieces)
    line = Line(tmp_path).hear([stream, pdu(4, value(2, b"")), store(DATA, b"1.2.4")])
    assert line.stored == [file_of(data), file_of(DATA, "1.2.4")]
    is_in_memory = len(file_of(data)) <= 1 << 20
    assert (line.requests[0].spool._is_spilled is False) is is_in_memory


def contexts_of(answer: bytes) -> dict[int, tuple[int, bytes]]:
    """Return result and transfer syntax of each context of an A-ASSOCIATE-AC."""
    found, at = {}, 6 + 68
    while at < len(answer):
        kind, length = struct.unpack_from(">BxH", answer, at)
        if kind == 0x21:
            found[answer[at + 4]] = (answer[at + 6], answer[at + 12 : at + 4 + length])
        at += 4 + length
    return found


def proposal(number: int, abstract: bytes, *syntaxes: bytes) -> bytes:
    names = item(0x30, abstract) + b"".join(item(0x40, one) for one in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + names)


def test_each_context_has_its_answer(tmp_path: Path) -> None:
    private, jpeg, implicit = b"1.3.12.2.1107.9", b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2"
    ask = request(
        proposal(1, CT, jpeg, implicit),
        proposal(3, CT, private, implicit),
        proposal(5, private, private),
        proposal(7, VERIFICATION, implicit),
        proposal(9, VERIFICATION, jpeg),
    )
    [answer] = Line(tmp_path, ask=ask).hear([]).said
    assert contexts_of(answer) == {
        1: (0, jpeg),
        3: (0, implicit),
        5: (0, private),
        7: (0, implicit),
        9: (4, jpeg),
    }
    # What is not accepted cannot be used.
    echo = pdu(4, value(3, command(0x30, data_set=0x0101, sop_class=VERIFICATION), number=9))
    assert Line(tmp_path, ask=ask).hear([echo]).last == pdu(7, bytes((0, 0, 2, INVALID)))


def test_the_acceptance_repeats_titles_and_names_us(tmp_path: Path) -> None:
    roles = item(0x54, struct.pack(">H", len(CT)) + CT + b"\x01\x01")
    window = item(0x53, struct.pack(">HH", 8, 8))
    ask = request(user=roles + window + identity(2, b"user", b"pass"))
    [answer] = Line(tmp_path, ask=ask).hear([]).said
    assert answer[6:74] == ask[6:74]
    user = answer[answer.index(b"\x50\0", 100) :]
    assert item(0x51, struct.pack(">I", 1 << 17)) in user
    assert item(0x52, spools.IMPLEMENTATION_CLASS_UID.encode()) in user
    # Roles, windows and identities stay as they are by default: not answered.
    kinds = {user[at] for at in _starts(user[4:], 4)}
    assert kinds == {0x51, 0x52, 0x55}


def _starts(items: bytes, offset: int) -> Iterator[int]:
    at = 0
    while at < len(items):
        yield at + offset
        at += 4 + struct.unpack_from(">H", items, at + 2)[0]


@pytest.mark.parametrize(
    ("abstract", "is_ours"),
    [
        (CT, True),
        (VERIFICATION, True),
        (b"1.3.12.2.1107.5.9.1", True),
        # Retired Nuclear Medicine; a storage class that is not known yet.
        (b"1.2.840.10008.5.1.4.1.1.5", True),
        (b"1.2.840.10008.5.1.4.1.1.999.1", True),
        # Study Root Find, Move and Get, Worklist, MPPS, Storage Commitment, UPS Push, Basic Film Session.
        (b"1.2.840.10008.5.1.4.1.2.2.1", False),
        (b"1.2.840.10008.5.1.4.1.2.2.2", False),
        (b"1.2.840.10008.5.1.4.1.2.2.3", False),
        (b"1.2.840.10008.5.1.4.31", False),
        (b"1.2.840.10008.3.1.2.3.3", False),
        (b"1.2.840.10008.1.20.1", False),
        (b"1.2.840.10008.5.1.4.34.6.1", False),
        (b"1.2.840.10008.5.1.1.1", False),
    ],
)
def test_who_serves(abstract: bytes, is_ours: bool) -> None:
    asked = parse_request(request(context(1), context(3, abstract))[HEADER.size :])
    assert stores_only(asked) is is_ours


def test_a_request_is_read_as_it_is_meant() -> None:
    asked = parse_request(request(context(1), proposal(3, CT, b"1.2 ", b"1.3\0"))[HEADER.size :])
    assert asked.maximum_length == 16384
    assert asked.contexts[1].transfer_syntaxes == ("1.2", "1.3")
    assert asked.contexts[0].id == 1
