"""What the audit trail says about who searches and takes away by DIMSE.

In: an ``Access``.  Out: ``AuditEvent``.  Never: what was searched for, which may be a name.

References
----------
PS3.15 A.5.3.7 (instances transferred), A.5.3.10 (query).
"""

from __future__ import annotations

from datetime import datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.share.query_retrieve import Access


def access_event(access: Access, aet: str, at: datetime) -> AuditEvent:
    """Return the event of a query or a retrieval from us, who are called ``aet``."""
    is_transfer = bool(access.study_instance_uid)
    return AuditEvent(
        type=AuditEventType.INSTANCES_TRANSFERRED if is_transfer else AuditEventType.QUERY,
        action=AuditAction.READ if is_transfer else AuditAction.EXECUTE,
        at=at,
        description=f"{access.what}, {access.count} objects." if is_transfer else f"{access.what}.",
        actors=(
            Actor(user_id=access.aet, ae_title=access.aet, address=access.address, is_requestor=True),
            Actor(user_id="wetread", ae_title=aet),
        ),
        studies=(access.study_instance_uid,) if is_transfer else (),
        instance_count=access.count,
    )
