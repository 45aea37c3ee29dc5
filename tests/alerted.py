"""Alerts in a store, raised as the service would."""

from tests.web.conftest import NOW, Ward
from wetread.domain.alert import Alert, Critical
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType


def make_event(told: str = "Alert.") -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED, action=AuditAction.EXECUTE, at=NOW, description=told
    )


def raise_alert(ward: Ward, uid: str, digest: str = "a" * 64) -> Alert:
    found = Critical(study_instance_uid=uid, revision=1, priority="stat", reasons_digest=digest)
    assert ward.store.alerts.raise_one(found, NOW, make_event())
    [alert] = [one for one in ward.store.alerts.list_open() if one.study_instance_uid == uid]
    return alert
