"""Final reports of other systems: what they are about has been read elsewhere.

In: HL7 messages.  Out: studies off the reading list, an acknowledgement code.
Never: a study of another patient; a preliminary result taken for a report; the text of a report, kept.

An ORU^R01 is a report where each of its OBR-25 says final or corrected (table 0123). It names its study by
Study Instance UID (an OBX of code 110180, or ZDS-1), else by accession number (OBR-18 as IHE SWF has it, or
OBR-3), and its patient in PID-3: both must be those of a study that is here. Most reports of a hospital are
about studies that are not: those are taken without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from wetread import hl7
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.problem import ProblemCode
from wetread.errors import StorageError
from wetread.receive.notes import Notes
from wetread.receive.trail import ReceiveTrail
from wetread.store import Store
from wetread.store.ordered import find_ordered
from wetread.store.reported import keep_reported
from wetread.store.studies import StudyRow

ACCEPTED, FAILED, REJECTED = "AA", "AE", "AR"
_FINAL = frozenset({"F", "C"})
_STUDY_INSTANCE_UID = "110180"
#: More names nobody; whoever sends thousands is not answered by a search for each.
_MOST_NAMES = 32
_LONGEST_NAME = 64
_SENDER = Actor(user_id="HL7 sender", is_requestor=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalResult:
    """What a final report is about."""

    patient_ids: tuple[str, ...]
    study_uids: tuple[str, ...]
    accession_numbers: tuple[str, ...]


class ResultIntake:
    """Takes messages; called in a connection's thread."""

    def __init__(
        self, store: Store, notes: Notes, trail: ReceiveTrail, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._notes = notes
        self._trail = trail
        self._clock = clock

    def take(self, text: str) -> str:
        """Take a message; returns the code that it is acknowledged with."""
        segments = hl7.read_segments(text)
        if not segments or hl7.get_field(segments[0], 8).split(hl7.COMPONENT)[:2] != ["ORU", "R01"]:
            return self._refuse("An HL7 message was refused: only results (ORU^R01) are taken.")
        if not any(one[0] == "OBR" for one in segments):
            return self._refuse("An HL7 message was refused: a result about nothing.")
        result = read_final(segments)
        if result is None:
            # Preliminary, cancelled, or about nothing that has a name.
            return ACCEPTED
        try:
            return self._take(result)
        except StorageError:
            # The sender tries again; what is wrong with the index tells its own story.
            return FAILED

    def _take(self, result: FinalResult) -> str:
        rows = find_ordered(self._store.engine, result.study_uids, result.accession_numbers)
        named = [row for row in rows if row.patient_id in result.patient_ids]
        # Another institution may count its orders alike: what is not this patient's is not meant then.
        if rows and (not named or (result.study_uids and len(named) < len(rows))):
            return self._contradicted([row for row in rows if row not in named])
        for row in named:
            if row.reported_at is None:
                self._mark(row)
        return ACCEPTED

    def _mark(self, row: StudyRow) -> None:
        now, told = self._clock(), "Reported by another system."
        event = AuditEvent(
            type=AuditEventType.INSTANCES_ACCESSED,
            action=AuditAction.UPDATE,
            at=now,
            description=told,
            actors=(_SENDER,),
            studies=(row.study_instance_uid,),
            patient_id=row.patient_id,
        )
        keep_reported(self._store, row, is_reported=True, at=now, told=told, event=event)

    def _contradicted(self, rows: Sequence[StudyRow]) -> str:
        for row in rows:
            told = "A report of another system names this study and another patient: it was refused."
            self._notes.problem(told, ProblemCode.OTHER_PATIENT, study_instance_uid=row.study_instance_uid)
        self._trail.message_refused("A report of another system names a study and another patient.")
        return REJECTED

    def _refuse(self, told: str) -> str:
        self._notes.problem(told, ProblemCode.UNREADABLE_MESSAGE)
        self._trail.message_refused(told)
        return REJECTED


def read_final(segments: Sequence[Sequence[str]]) -> FinalResult | None:
    """Return what a final report is about, None where it is not final, or names no study and patient."""
    requests = [one for one in segments if one[0] == "OBR"]
    statuses = {hl7.get_field(one, 25) for one in requests}
    if not statuses or not statuses <= _FINAL:
        return None
    patients = [one for one in segments if one[0] == "PID"]
    ids = [
        name
        for one in patients
        for repeated in hl7.get_field(one, 3).split(hl7.REPETITION)
        for name in _names(repeated)
    ]
    accessions = [name for one in requests for at in (18, 3) for name in _names(hl7.get_field(one, at))]
    uids = list(_study_uids(segments))
    if len(patients) != 1 or not ids or not (uids or accessions):
        return None
    return FinalResult(
        patient_ids=tuple(dict.fromkeys(ids)),
        study_uids=tuple(dict.fromkeys(uids))[:_MOST_NAMES],
        accession_numbers=tuple(dict.fromkeys(accessions))[:_MOST_NAMES],
    )


def _study_uids(segments: Sequence[Sequence[str]]) -> Iterator[str]:
    for one in segments:
        if one[0] == "ZDS":
            yield from _names(hl7.get_field(one, 1))
        if one[0] == "OBX" and hl7.get_field(one, 3).split(hl7.COMPONENT)[0] == _STUDY_INSTANCE_UID:
            yield from _names(hl7.get_field(one, 5))


def _names(field: str) -> list[str]:
    """Return the first component of a field, where there is one of a name's length."""
    name = hl7.unescape(field.split(hl7.COMPONENT)[0]).strip()
    return [name] if name.isprintable() and 0 < len(name) <= _LONGEST_NAME else []
