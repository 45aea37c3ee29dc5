"""What the steps put into the audit trail: models that see images, documents that leave.

In: a study, a model, a destination, a sender.  Out: audit events.  Never: findings; patient names.
"""

from __future__ import annotations

from datetime import datetime

from wetread.deliver.destination import Destination, DestinationKind
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.store.studies import StudyRow

_SOURCE, _DESTINATION, _MEDIA = "110153", "110152", "110154"


def read_event(
    study: StudyRow, at: datetime, model: str, count: int, *, is_read: bool | None = None
) -> AuditEvent:
    """Return the event of a model that gets to see images: before it (``is_read`` None), or how it ended."""
    told = {None: "Reading begun.", True: "Reading kept.", False: "Not read."}[is_read]
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.READ if is_read is None else AuditAction.CREATE,
        at=at,
        outcome=AuditOutcome.MINOR_FAILURE if is_read is False else AuditOutcome.SUCCESS,
        description=told,
        actors=(Actor(user_id=model, is_requestor=True, role="110150"), Actor(user_id="wetread")),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=count,
    )


def asked_event(study: StudyRow, at: datetime, actor: Actor, told: str, count: int = 0) -> AuditEvent:
    """Return the event of what somebody asked for a study, where it is about them of ``count`` objects."""
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.UPDATE,
        at=at,
        description=told,
        actors=(actor,),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=count,
    )


def send_event(
    study: StudyRow, at: datetime, target: Destination, count: int, *, failed: int | None = None
) -> AuditEvent:
    """Return the event of a delivery: before it (``failed`` None), or with how many documents failed."""
    is_dicom = target.kind is DestinationKind.CSTORE
    ours = target.calling_aet if is_dicom else ""
    if failed is None:
        kind, told = AuditEventType.BEGIN_TRANSFERRING, f"{count} documents to {target.name}."
    else:
        kind = AuditEventType.INSTANCES_TRANSFERRED if is_dicom else AuditEventType.EXPORT
        told = f"{count - failed} of {count} documents taken by {target.name}."
    return AuditEvent(
        type=kind,
        action=AuditAction.EXECUTE if failed is None else AuditAction.READ,
        at=at,
        outcome=AuditOutcome.MINOR_FAILURE if failed else AuditOutcome.SUCCESS,
        description=told,
        actors=(
            Actor(user_id="wetread", ae_title=ours, is_requestor=True, role=_SOURCE),
            Actor(
                user_id=target.name,
                ae_title=target.aet if is_dicom else "",
                address=target.host,
                role=_DESTINATION if is_dicom else _MEDIA,
            ),
        ),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=count if failed is None else count - failed,
    )


def returned_event(study: StudyRow, at: datetime, source: str, told: str) -> AuditEvent:
    """Return the event of a segmentation that somebody sent and that was looked at."""
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.UPDATE,
        at=at,
        description=told,
        actors=(Actor(user_id=source, is_requestor=True, role=_SOURCE), Actor(user_id="wetread")),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=1,
    )


def settled_event(study: StudyRow, at: datetime, count: int) -> AuditEvent:
    """Return the event of documents that were composed of what readers changed."""
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.CREATE,
        at=at,
        description="Composed of what readers changed.",
        actors=(Actor(user_id="wetread", is_requestor=True, role=_SOURCE),),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=count,
    )
