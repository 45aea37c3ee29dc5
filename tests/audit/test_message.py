# ruff: noqa: E501
"""Messages keep the Standard's schema, whatever stands in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from wetread.dicom.audit_message import MEANINGS, describe, encode_event, printable, summarize
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parent / "audit_message.rng"))
TEXTS = st.text(max_size=40)
ACTORS = st.builds(
    Actor,
    user_id=TEXTS,
    is_requestor=st.booleans(),
    address=st.sampled_from(["", "127.0.0.1", "::1"]),
    role=st.sampled_from(["", "110150", "110152", "110153"]),
    ae_title=TEXTS,
)
EVENTS = st.builds(
    AuditEvent,
    type=st.sampled_from(AuditEventType),
    action=st.sampled_from(AuditAction),
    at=st.floats(3e8, 4e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    outcome=st.sampled_from(AuditOutcome),
    subtype=st.sampled_from(["", "110120", "of-ours"]),
    description=TEXTS,
    actors=st.lists(ACTORS, max_size=3).map(tuple),
    studies=st.lists(TEXTS, max_size=3).map(tuple),
    patient_id=TEXTS,
    instance_count=st.integers(0, 10**6),
)


@given(event=EVENTS)
def test_every_message_keeps_the_schema(event: AuditEvent) -> None:
    message = encode_event(event, "wetread")
    document = etree.fromstring(message.encode())
    assert SCHEMA.validate(document), SCHEMA.error_log
    assert message.isprintable(), "one line, nothing that acts on a terminal"
    found = summarize(message)
    assert found.event == event.type
    assert found.at == event.at.timestamp()
    assert describe(message)


def test_a_message_in_full() -> None:
    event = AuditEvent(
        type=AuditEventType.INSTANCES_TRANSFERRED,
        action=AuditAction.CREATE,
        at=datetime(2026, 11, 24, 3, 4, 5, 6, timezone(timedelta(hours=1))),
        outcome=AuditOutcome.MINOR_FAILURE,
        description="It broke off.",
        actors=(Actor(user_id="CT1", ae_title="CT1", is_requestor=True, address="10.0.0.9", role="110153"),),
        studies=("1.2.3",),
        patient_id="P1",
        instance_count=7,
    )
    assert encode_event(event, "wetread") == (
        '<?xml version="1.0" encoding="UTF-8"?><AuditMessage><EventIdentification EventActionCode="C"'
        ' EventDateTime="2026-11-24T02:04:05.000006+00:00" EventOutcomeIndicator="4"><EventID csd-code="110104"'
        ' codeSystemName="DCM" originalText="DICOM Instances Transferred"/><EventOutcomeDescription>It broke off.'
        '</EventOutcomeDescription></EventIdentification><ActiveParticipant UserID="CT1"'
        ' AlternativeUserID="AETITLES=CT1" UserIsRequestor="true" NetworkAccessPointID="10.0.0.9"'
        ' NetworkAccessPointTypeCode="2"><RoleIDCode csd-code="110153" codeSystemName="DCM"'
        ' originalText="Source Role ID"/></ActiveParticipant><AuditSourceIdentification AuditSourceID="wetread">'
        '<AuditSourceTypeCode csd-code="4"/></AuditSourceIdentification><ParticipantObjectIdentification'
        ' ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">'
        '<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID"/>'
        '<ParticipantObjectName/><ParticipantObjectDescription><SOPClass NumberOfInstances="7"/>'
        "</ParticipantObjectDescription></ParticipantObjectIdentification><ParticipantObjectIdentification"
        ' ParticipantObjectID="P1" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">'
        '<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"/>'
        "<ParticipantObjectName/></ParticipantObjectIdentification></AuditMessage>"
    )


@pytest.mark.parametrize("letter", ["\n", "\r", "\x1b", "\0", "\u2028", "\u202e", "\ud800", "\x85"])
def test_nothing_forges_a_line(letter: str) -> None:
    shown = printable(f"CT1{letter}<AuditMessage>")
    assert letter not in shown
    assert shown.startswith("CT1\\")


def test_no_text_is_without_end() -> None:
    assert len(printable("x" * 10_000)) < 1100


def test_every_event_has_its_meaning() -> None:
    assert all(one in MEANINGS for one in AuditEventType)
