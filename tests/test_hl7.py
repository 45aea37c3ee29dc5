"""HL7: what is escaped comes back, and never makes a segment."""

from __future__ import annotations

from datetime import UTC, datetime

import hl7 as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetread import hl7
from wetread.errors import NotAcknowledged

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
HEAD = hl7.MessageHead(message_type=("ORU", "R01", "ORU_R01"), control_id="W1", made_at=AT)


@given(st.text())
def test_any_text_stays_in_its_field(text: str) -> None:
    message = hl7.message(hl7.header_segment(HEAD), hl7.segment("NTE", 1, "", text, "end"))
    assert message.count("\r") == 2
    parsed = reference.parse(message)
    assert [str(one[0]) for one in parsed] == ["MSH", "NTE"]
    assert str(parsed.segment("NTE")[4]) == "end"


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_printable_text_comes_back(text: str) -> None:
    assert hl7.unescape(hl7.escape(text)) == text
    parsed = reference.parse(hl7.message(hl7.header_segment(HEAD), hl7.segment("NTE", 1, "", f"x{text}x")))
    assert hl7.unescape(str(parsed.segment("NTE")[3])) == f"x{text}x"


def test_line_ends_become_breaks() -> None:
    assert hl7.escape("a\r\nb\nc\rd") == r"a\.br\b\.br\c\.br\d"
    assert hl7.unescape(r"a\.br\b \H\x") == "a\nb " + r"\H\x"


def test_components_and_empty_ends() -> None:
    assert hl7.components("a^b", "", "c", "") == r"a\S\b^^c"
    assert hl7.segment("PID", 1, "", hl7.components("a", "b"), "", "") == "PID|1||a^b"


def test_the_receiver_is_set_without_another_change() -> None:
    message = hl7.message(hl7.header_segment(HEAD), hl7.segment("PID", 1))
    addressed = hl7.set_receiver(message, "RIS|1", "HOSPITAL")
    assert addressed == message.replace("WETREAD|WETREAD|||", r"WETREAD|WETREAD|RIS\F\1|HOSPITAL|", 1)


def test_an_acknowledgement_goes_back() -> None:
    message = hl7.set_receiver(hl7.message(hl7.header_segment(HEAD)), "RIS", "HOSPITAL")
    ack = hl7.make_ack(message, "AE", "no such | patient", made_at=AT)
    fields = ack.split("\r")[0].split("|")
    assert fields[2:6] == ["RIS", "HOSPITAL", "WETREAD", "WETREAD"]
    assert fields[8] == "ACK^R01^ACK"
    assert hl7.parse_ack(ack) == hl7.Acknowledgement(code="AE", control_id="W1", text="no such | patient")
    assert not hl7.parse_ack(ack).is_accepted
    assert hl7.parse_ack(hl7.make_ack(message, "AA")).is_accepted


@pytest.mark.parametrize("text", ["", "MSH", "garbage", "\x0b\x1c", "PID|1\rMSH|^~\\&|"])
def test_even_rubbish_gets_an_answer(text: str) -> None:
    assert hl7.parse_ack(hl7.make_ack(text, "AR", "not HL7", made_at=AT)).code == "AR"


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="acknowledgement code"):
        hl7.make_ack("", "OK")


@pytest.mark.parametrize("text", ["", "MSH|^~\\&|A\r", "MSA|AA|1\r", "MSH|^~\\&|A\rMSA|XX|1\r", "hello"])
def test_what_is_no_acknowledgement_is_refused(text: str) -> None:
    with pytest.raises(NotAcknowledged):
        hl7.parse_ack(text)


def test_the_reason_may_stand_in_err() -> None:
    text = "\x0bMSH|^~\\&|RIS\nMSA|AR|W1\nERR|||207^x|E||||Unknown patient\n\x1c\r"
    assert hl7.parse_ack(text) == hl7.Acknowledgement(code="AR", control_id="W1", text="Unknown patient")
