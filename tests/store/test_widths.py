"""What is kept by name fits its column: PostgreSQL holds a text to its length, SQLite does not."""

import pytest

from wetread.domain.alert import AlertState, CallState, Channel
from wetread.domain.change import ChangeKind
from wetread.domain.document import DocumentKind
from wetread.domain.fetching import Purpose
from wetread.domain.late_prior import LateOutcome
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.domain.report import ReportState
from wetread.domain.returned import Return
from wetread.domain.review import RejectReason, Verdict
from wetread.store import schema


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (DocumentKind, schema.document.c.kind),
        (ChangeKind, schema.change.c.kind),
        (Return, schema.returned.c.outcome),
        (ProblemCode, schema.returned.c.code),
        (ProblemCode, schema.event.c.code),
        (ReportState, schema.report.c.state),
        (Verdict, schema.remark.c.verdict),
        (RejectReason, schema.remark.c.reason),
        (Priority, schema.given_priority.c.priority),
        (Priority, schema.study.c.urgency),
        (StudyState, schema.study.c.state),
        (Purpose, schema.study.c.purpose),
        (Outcome, schema.reading.c.outcome),
        (DeliveryState, schema.delivery.c.state),
        (AlertState, schema.alert.c.state),
        (Channel, schema.alert_call.c.channel),
        (CallState, schema.alert_call.c.state),
        (LateOutcome, schema.late_prior.c.outcome),
    ],
    ids=lambda one: getattr(one, "__name__", "") or str(one),
)
def test_every_name_fits(kind, column):
    length = getattr(column.type, "length", None)
    assert length is None or max(len(one.value) for one in kind) <= length
