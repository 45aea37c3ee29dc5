"""What the audit trail says of questions that we ask.

In: whom we ask, for what.  Out: ``AuditEvent``.  Never: what was searched for, which may be a name.

What we fetch is told of by whoever takes it in (``receive.trail``).

References
----------
PS3.15 A.5.3.10 (query).
"""

from __future__ import annotations

from datetime import datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.fetch.pacs import Pacs

_SOURCE, _DESTINATION = "110153", "110152"


def query_event(pacs: Pacs, at: datetime, what: str, *, by: str = "wetread", study: str = "") -> AuditEvent:
    """Return the event of a question; ``what``: half a sentence for people."""
    return AuditEvent(
        type=AuditEventType.QUERY,
        action=AuditAction.EXECUTE,
        at=at,
        description=f"Asked {pacs.name}: {what}.",
        actors=(
            Actor(user_id=by, ae_title=pacs.calling_aet, is_requestor=True, role=_SOURCE),
            Actor(user_id=pacs.name, ae_title=pacs.aet, address=pacs.address, role=_DESTINATION),
        ),
        studies=(study,) if study else (),
    )
