"""What the audit trail says about signing in and about accounts.

In: names, addresses, times.  Out: ``AuditEvent``.  Never: a password, code, cookie or token;
what was typed as a name that no account has (it may be a password in the wrong field).

References
----------
PS3.15 A.5.3.11 (security alert), A.5.3.12 (user authentication); PS3.16 CID 401 to 403.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome

Record = Callable[[AuditEvent], None]

#: Whoever typed a name that no account has.
UNKNOWN = "unknown name"

_LOGIN, _LOGOUT = "110122", "110123"
_RESTRICTED_FUNCTION = "110132"
_USER_ATTRIBUTES_CHANGED = "110137"


def signed_in(name: str, address: str, at: datetime, how: str) -> AuditEvent:
    """Somebody signed in."""
    return _authentication(_LOGIN, name, address, at, AuditOutcome.SUCCESS, f"Signed in by {how}.")


def not_signed_in(name: str, address: str, at: datetime, why: str) -> AuditEvent:
    """Somebody did not get in."""
    return _authentication(_LOGIN, name, address, at, AuditOutcome.MINOR_FAILURE, why)


def signed_out(name: str, address: str, at: datetime) -> AuditEvent:
    """Somebody signed out."""
    return _authentication(_LOGOUT, name, address, at, AuditOutcome.SUCCESS, "Signed out.")


def locked(name: str, address: str, at: datetime, for_s: float) -> AuditEvent:
    """An account was locked."""
    told = f"The account {name} is locked for {for_s / 60:.0f} minutes after too many failures."
    return _alert(_USER_ATTRIBUTES_CHANGED, name, address, at, AuditOutcome.SERIOUS_FAILURE, told)


def refused(name: str, address: str, at: datetime, what: str) -> AuditEvent:
    """Somebody asked for what they may not."""
    return _alert(_RESTRICTED_FUNCTION, name, address, at, AuditOutcome.MINOR_FAILURE, what)


def changed(by: str, at: datetime, what: str) -> AuditEvent:
    """An account or a token was changed."""
    return _alert(_USER_ATTRIBUTES_CHANGED, by, "", at, AuditOutcome.SUCCESS, what)


def _authentication(
    subtype: str, name: str, address: str, at: datetime, outcome: AuditOutcome, told: str
) -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.USER_AUTHENTICATION,
        action=AuditAction.EXECUTE,
        at=at,
        outcome=outcome,
        subtype=subtype,
        description=told,
        actors=(Actor(user_id=name, is_requestor=True, address=address),),
    )


def _alert(
    subtype: str, name: str, address: str, at: datetime, outcome: AuditOutcome, told: str
) -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.SECURITY_ALERT,
        action=AuditAction.EXECUTE,
        at=at,
        outcome=outcome,
        subtype=subtype,
        description=told,
        actors=(Actor(user_id=name, is_requestor=True, address=address),),
    )
