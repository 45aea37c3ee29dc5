"""The tables of what modalities and archives tell, and of what is promised to be kept; part of ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from wetread.store.metadata import metadata

#: How many images a study will have, told before the first one came.
expectation = Table(
    "expectation",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("instance_count", Integer, nullable=False),
    Column("told_by", String(64), nullable=False),
    Column("told_at", Float, nullable=False),
)

#: What a modality or an archive tells: a performed procedure step, or that instances are available.
notice = Table(
    "notice",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    # "mpps", "ian"
    Column("kind", String(8), nullable=False),
    # Performed Procedure Step Status (0040,0252); AVAILABLE for "ian".
    Column("state", String(16), nullable=False),
    # AE title.
    Column("told_by", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    # Whether a step has said when it ended.
    Column("has_end", Boolean, nullable=False, default=False),
)

#: Studies that a notice is about; they may not have come yet.
notice_study = Table(
    "notice_study",
    metadata,
    Column("notice", ForeignKey("notice.sop_instance_uid"), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True, index=True),
)

#: Instances that a notice names and that can be had.
notice_instance = Table(
    "notice_instance",
    metadata,
    Column("notice", ForeignKey("notice.sop_instance_uid"), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
)

#: Storage commitments that others ask of us (PS3.4 J), until long after they were reported.
commitment_asked = Table(
    "commitment_asked",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String(64), nullable=False),
    # AE title.
    Column("requestor", String(64), nullable=False),
    # sha256 over what was asked for: whether a transaction comes again, or another under its name.
    Column("digest", String(64), nullable=False),
    # [SOP Class UID, SOP Instance UID] of each; [] once it is reported.
    Column("items", JSON, nullable=False),
    Column("instance_count", Integer, nullable=False),
    # Another transaction with this UID is known: all of it fails.
    Column("is_duplicate", Boolean, nullable=False, default=False),
    Column("asked_at", Float, nullable=False),
    # "due", "reported", "failed"
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("message", Text, nullable=False, default=""),
    Column("updated_at", Float, nullable=False),
    Index("commitment_asked_by", "requestor", "transaction_uid"),
)

#: Storage commitments that we ask of destinations.
commitment_wanted = Table(
    "commitment_wanted",
    metadata,
    Column("transaction_uid", String(64), primary_key=True),
    Column("destination", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    # "begun", "asked", "answered", "settled", "lost"
    Column("state", String(16), nullable=False, index=True),
    Column("asked_at", Float, nullable=False),
)

#: Documents that a commitment is asked for.
commitment_item = Table(
    "commitment_item",
    metadata,
    Column("transaction_uid", ForeignKey("commitment_wanted.transaction_uid"), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("delivery_id", Integer, nullable=False, index=True),
    # 0: committed, else the Failure Reason (0008,1197); NULL: not answered.
    Column("result", Integer),
)
