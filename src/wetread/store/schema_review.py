"""The tables of the reading room; others take them from ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, String, Table, Text

from wetread.store.metadata import metadata

#: What readers said of findings and Readings; never changed, the newest of a finding counts.
remark = Table(
    "remark",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("reading_digest", String(64), nullable=False),
    # Of the finding; "": the whole Reading.
    Column("tracking_uid", String(64), nullable=False),
    # domain.review: Verdict, RejectReason.
    Column("verdict", String(16), nullable=False),
    Column("reason", String(32)),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Index("remark_by_finding", "reading_digest", "tracking_uid", "id"),
)

#: Who reads a study now.
claim = Table(
    "claim",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("who", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

#: Priorities that readers gave; the newest of a study counts.
given_priority = Table(
    "given_priority",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    # domain.reading.Priority; NULL: taken back.
    Column("priority", String(16)),
    Column("why", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
)

#: Versions of reports; never changed, the newest counts.
report = Table(
    "report",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    # domain.report: ReportState; Section -> text.
    Column("state", String(16), nullable=False),
    Column("sections", JSON, nullable=False),
    # Sentences of findings by name; NULL: of an earlier version.
    Column("proposed", JSON),
    Column("who", String(64), nullable=False),
    # "": a draft.
    Column("signed_by", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

#: What readers changed in findings or added; never changed itself.
change = Table(
    "change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("reading_digest", String(64), nullable=False, index=True),
    Column("tracking_uid", String(64), nullable=False),
    # domain.change: ChangeKind, Said.
    Column("kind", String(16), nullable=False),
    Column("said", JSON, nullable=False),
    # domain.packed_mask; NULL: no outline.
    Column("mask", Text),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
)

#: Segmentations that were looked at: whether they are a revision of ours.
returned = Table(
    "returned",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    # domain.returned.Return.
    Column("outcome", String(16), nullable=False),
    # domain.problem.ProblemCode; "": none.
    Column("code", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

#: Readings that readers changed or judged, and what the newest report of ours says of that.
settling = Table(
    "settling",
    metadata,
    Column("reading_digest", String(64), primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    # Grows with each change: what was looked at is still what there is.
    Column("version", Integer, nullable=False),
    Column("changed_at", Float, nullable=False),
    # Something was changed that no report says yet.
    Column("is_open", Boolean, nullable=False, index=True),
    # domain.left: Left.state that the newest report has; "": as the model left it.
    Column("state", String(64), nullable=False),
)
