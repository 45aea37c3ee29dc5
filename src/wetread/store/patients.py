"""Erase one patient: every study, and what else names them.

In: a Patient ID.  Out: what there is of it; then nothing of it but the audit trail's entries.
Never: a study on legal hold; a result recalled from where it was delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, or_, select

from wetread.dicom.header import read_instance
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.domain.study import header_text
from wetread.errors import InputError, StorageError
from wetread.sealed import SealError
from wetread.store import schema
from wetread.store.database import compact
from wetread.store.erasure import delete_conflicts, delete_study
from wetread.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One study of the patient."""

    study_instance_uid: str
    study_date: str
    study_description: str
    instance_count: int
    is_held: bool
    #: Images of another Patient ID lie in it too; they go with it.
    is_mixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whom to erase."""

    patient_id: str
    #: Issuer of Patient ID (0010,0021); ``""``: whoever issued it.
    issuer: str = ""


def find_studies(store: Store, patient: Patient) -> list[Found]:
    """Return the studies with any image of the patient, newest first."""
    study, instance = schema.study, schema.instance
    named = instance.c.header["PatientID"].as_string()
    theirs = select(instance.c.study_instance_uid).where(named == patient.patient_id)
    query = select(study).where(
        or_(study.c.patient_id == patient.patient_id, study.c.study_instance_uid.in_(theirs))
    )
    if patient.issuer:
        issuer = instance.c.header["IssuerOfPatientID"].as_string()
        issued = select(instance.c.study_instance_uid).where(issuer == patient.issuer)
        query = query.where(study.c.study_instance_uid.in_(issued))
    with store.engine.connect().execution_options(read_only=True) as connection:
        rows = list(connection.execute(query.order_by(study.c.last_received_at.desc())))
        return [
            Found(
                study_instance_uid=row.study_instance_uid,
                study_date=row.study_date,
                study_description=row.study_description,
                instance_count=row.instance_count,
                is_held=_is_held(connection, row.study_instance_uid) != "",
                is_mixed=_is_mixed(connection, row.study_instance_uid),
            )
            for row in rows
        ]


def erase_patient(
    store: Store,
    patient: Patient,
    *,
    by: str,
    why: str,
    clock: Callable[[], datetime],
    forget_jobs: Callable[[list[str]], None],
) -> list[Found]:
    """Erase all studies of a patient; returns those that are kept because they are on legal hold.

    Parameters
    ----------
    by, why
        Who asked, and why: for the audit trail.
    forget_jobs
        Removes the engine's jobs of studies.

    Raises
    ------
    StorageError
        If index or disk refuse, or a file that was set aside does not open: then all else is erased.
    """
    kept = []
    erased = []
    for one in find_studies(store, patient):
        event = _study_event(one, by, clock())
        uid = one.study_instance_uid
        if delete_study(store, uid, event=event, keep=_is_held, why="its patient was erased"):
            kept.append(one)
        else:
            erased.append(uid)
    unopened = _erase_conflicts(store, patient)
    forget_jobs(erased)
    store.audit.record(_patient_event(patient, by, why, (len(erased), len(kept), len(unopened)), clock()))
    _drop_traces(store)
    if unopened:
        raise StorageError(
            "The rest is erased, but files that were set aside do not open, and nobody can tell whose they"
            " are: configure their key and erase again, or delete them.",
            files=len(unopened),
            first=unopened[0].relative_to(store.data),
            kept_on_hold=len(kept),
        )
    return kept


def _is_held(connection: Connection, study: str) -> str:
    query = select(schema.hold.c.reason).where(schema.hold.c.study_instance_uid == study)
    return "on legal hold" if connection.execute(query).first() is not None else ""


def _is_mixed(connection: Connection, study: str) -> bool:
    named = schema.instance.c.header["PatientID"].as_string()
    query = select(func.count(named.distinct())).where(schema.instance.c.study_instance_uid == study)
    return int(connection.execute(query).scalar_one()) > 1


def _erase_conflicts(store: Store, patient: Patient) -> list[Path]:
    """Remove what is kept aside in other patients' studies, or without a row, and names this one.

    Returns those of which nobody can tell whose they are.
    """
    table, blobs = schema.conflict, store.intake.conflicts
    query = select(table.c.sop_instance_uid, table.c.content_digest, table.c.study_instance_uid)
    with store.engine.connect().execution_options(read_only=True) as connection:
        rows = {blobs.path(f"{row[0]} {row[1]}").name: row for row in connection.execute(query)}
        held = set(connection.execute(select(schema.hold.c.study_instance_uid)).scalars())
    theirs, unopened = [], []
    for path in blobs.iter_paths():
        try:
            if _names(store, path, patient):
                theirs.append(path)
        except FileNotFoundError:
            continue
        except SealError:
            unopened.append(path)
    free = [path for path in theirs if path.name not in rows or rows[path.name][2] not in held]
    if free:
        keys = [(rows[path.name][0], rows[path.name][1]) for path in free if path.name in rows]
        delete_conflicts(store, free, keys)
    return unopened


def _names(store: Store, path: Path, patient: Patient) -> bool:
    try:
        header = read_instance(path, store.vault.open).header
    except InputError:
        # Not a readable object: look for the letters.
        with store.vault.open(path) as file:
            return patient.patient_id.encode() in file.read()
    is_issued = not patient.issuer or header_text(header, "IssuerOfPatientID") == patient.issuer
    return header_text(header, "PatientID") == patient.patient_id and is_issued


def _drop_traces(store: Store) -> None:
    """Remove what deleted rows leave behind: free pages, the log, copies of the index from upgrades."""
    for path in (*store.data.glob("index.sqlite.before-*"), *store.data.glob(".index.sqlite.before-*")):
        path.unlink()
    compact(store.engine)


def _study_event(one: Found, by: str, now: datetime) -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=now,
        description="Deleted because its patient was erased.",
        actors=(Actor(user_id=by, is_requestor=True),),
        studies=(one.study_instance_uid,),
        instance_count=one.instance_count,
    )


def _patient_event(
    patient: Patient, by: str, why: str, counts: tuple[int, int, int], now: datetime
) -> AuditEvent:
    erased, kept, unopened = counts
    aside = f" {unopened} files set aside do not open." if unopened else ""
    return AuditEvent(
        type=AuditEventType.PATIENT_RECORD,
        action=AuditAction.DELETE,
        at=now,
        outcome=AuditOutcome.MINOR_FAILURE if kept or unopened else AuditOutcome.SUCCESS,
        description=f"Erased {erased} studies, {kept} kept on legal hold.{aside} {why}".strip(),
        actors=(Actor(user_id=by, is_requestor=True),),
        patient_id=patient.patient_id,
    )
