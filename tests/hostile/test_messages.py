"""H11 to H13, H15: questions and orders for doors that are not there; H64: names that act on a terminal."""

from __future__ import annotations

import struct

import pytest

from tests.hostile.build import element, even, item, series_of, text
from tests.hostile.conftest import Target
from tests.hostile.rows import DICOMDIR
from tests.hostile.wire import CT_FIND, VERIFICATION, WORKLIST, Association, Refused
from wetread.domain.progress import StudyState
from wetread.domain.study import study_key

MOVE, COMMITMENT = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.1.20.1"


def us(number: int) -> bytes:
    return struct.pack("<H", number)


def command(field: int, sop_class: str, **more: bytes) -> dict[int, bytes]:
    named = {0x0002: sop_class.encode(), 0x0100: us(field), 0x0110: us(7), 0x0700: us(0), 0x0800: us(1)}
    return named | {int(key[1:], 16): value for key, value in more.items()}


KEYS = b"".join(element(0x00100010 + n * 2, b"LO", b"*") for n in range(4))
FIND = element(0x00080052, b"CS", b"STUDY ") + element(0x00100020, b"LO", even(b"' OR 1=1 --%_" * 100))
LONG_FIND = element(0x00080052, b"CS", b"STUDY ") + element(0x00101081, b"UT", b"*" * 100_000 + b"?")
NESTED_FIND = element(0x00400100, b"SQ", item(element(0x00400100, b"SQ", item(b"")))) + KEYS
REFERENCES = element(0x00081199, b"SQ", item(element(0x00081155, b"UI", b"1.2.3\0")) * 100_000)


@pytest.mark.parametrize(
    ("sop_class", "field", "more", "data"),
    [
        pytest.param(CT_FIND, 0x0020, {}, FIND, id="H11-sql"),
        pytest.param(CT_FIND, 0x0020, {}, LONG_FIND, id="H11-wildcard"),
        pytest.param(WORKLIST, 0x0020, {}, NESTED_FIND, id="H12-nested"),
        pytest.param(MOVE, 0x0021, {"x0600": b"INTERNAL"}, FIND, id="H13-move"),
        pytest.param(COMMITMENT, 0x0130, {"x1008": us(1)}, REFERENCES, id="H15-100000"),
        pytest.param(DICOMDIR, 0x0001, {"x1000": b"1.2.3\0"}, FIND, id="H19-directory"),
    ],
)
def test_what_we_do_not_offer_is_refused(
    sop_class: str, field: int, more: dict[str, bytes], data: bytes, target: Target
) -> None:
    with Association(target.service.dicom_port, sop_class) as association:
        if association.result == 0:
            # The door is there by now: its own tests say more.
            return
        assert association.result == 3
        # Asked for all the same, on the context that was refused.
        with pytest.raises(Refused):
            association.request(command(field, sop_class, **more), [data])


@pytest.mark.parametrize("field", [0x0020, 0x0021, 0x0010, 0x0130, 0x0150, 0x8020, 0x0000])
def test_another_service_on_the_context_of_echo(field: int, target: Target) -> None:
    """H11 to H15: a C-FIND, C-MOVE, C-GET, N-ACTION or nonsense where only C-ECHO was agreed on."""
    more = {"x0600": b"INTERNAL", "x1008": us(1), "x1001": b"1.2.3\0", "x1003": b"1.2.3\0"}
    sender = f"ASKS-{field:04X}"
    with (
        Association(target.service.dicom_port, VERIFICATION, calling=sender) as association,
        pytest.raises(Refused),
    ):
        association.request(command(field, VERIFICATION, **more), [FIND])
    assert target.problems_of(sender) == ["association-broken"]


NASTY = "\x1b[2J\nWARN root"


def test_names_in_logs_and_events_are_printable(target: Target) -> None:
    """H64: an AE title and a patient's name with line ends and escape sequences."""
    name = {0x00100010: text(b"PN", f"EVIL^{NASTY}\r"), 0x00081030: text(b"LO", f"x{NASTY}")}
    name[0x00080005] = text(b"CS", f"ISO_IR 100\\{NASTY}")
    objects = series_of(name)
    try:
        target.send(objects, NASTY[:16])
    except Refused:
        objects = series_of(name)
        target.send(objects, "PLAIN")
    assert target.await_end(objects[0].study) is StudyState.READ
    with target.service.store() as store:
        events = store.history.list_newest(1000)
    log = (target.service.folder / "serve.log").read_bytes()
    assert b"\x1b" not in log
    assert b"EVIL" not in log
    for event in events:
        assert event.message.isprintable(), event.message
        assert "EVIL" not in event.message


MARKUP = (
    '<img src="file:///etc/passwd"/>',
    "<script>alert(1)</script>",
    '<font color="red">&#0;<para>',
    "</para><a href='http://127.0.0.1/'>x",
    "@import url(http://127.0.0.1/x)",
    "\\input{/etc/passwd}|PID|1\rOBX|9",
    "&xxe;<!DOCTYPE x [<!ENTITY xxe SYSTEM 'file:///etc/passwd'>]>",
)


@pytest.mark.parametrize("markup", MARKUP, ids=[f"H60-{n}" for n in range(len(MARKUP))])
def test_mark_up_stays_text_in_every_document(markup: str, target: Target) -> None:
    """H60: what a header says is shown, in reports and on pages, and does nothing."""
    value = text(b"LO", markup)
    changes = {0x00081030: value, 0x0008103E: value, 0x00100010: text(b"PN", markup), 0x00100020: value}
    objects = series_of({**changes, 0x00080050: text(b"SH", markup[:16])})
    assert target.send(objects, "MARKUP") == [0, 0, 0]
    assert target.await_end(objects[0].study) is StudyState.READ
    with target.service.store() as store:
        (reading,) = store.readings.list_for_study(objects[0].study)
        documents = {
            one.kind.value: store.readings.load_document(one).data
            for one in store.readings.list_documents(reading.id)
        }
    assert {"sr", "pdf", "text", "oru"} <= set(documents)
    segments = [line[:3] for line in documents["oru"].decode().split("\r") if line]
    assert set(segments) == {"MSH", "PID", "OBR", "NTE", "TQ1", "OBX"}
    assert segments.count("PID") == 1
    assert b"root:" not in documents["pdf"]
    page = target.get_page(f"/studies/{study_key(objects[0].study)}")
    for forbidden in ("<script>alert", '<img src="file', "<a href='http"):
        assert forbidden not in page
