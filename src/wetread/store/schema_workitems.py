"""The tables of workitems; others take them from ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, String, Table

from wetread.store.metadata import metadata

#: One row per workitem (Unified Procedure Step).
workitem = Table(
    "workitem",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    # To be found by; "" where it names none.
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("patient_id", String(64), nullable=False, index=True),
    # DICOM JSON, without the Transaction UID.
    Column("attributes", JSON, nullable=False),
    # Of who performs it: a secret of theirs. "": nobody does.
    Column("transaction_uid", String(64), nullable=False),
    Column("performer", String(64), nullable=False),
    # Who created it, and whose studies they may see (NULL: all).
    Column("source", String(64), nullable=False, index=True),
    Column("sources", JSON),
    Column("is_cancel_requested", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False, index=True),
    Index("workitem_by_age", "created_at", "uid"),
)

#: Who is told of which workitem; of the well-known UIDs: of all to come.
workitem_subscription = Table(
    "workitem_subscription",
    metadata,
    Column("aet", String(64), primary_key=True),
    # "dimse" or "web": how they are told.
    Column("channel", String(8), primary_key=True),
    Column("workitem_uid", String(64), primary_key=True),
    # Who subscribed, and whose workitems they may see (NULL: all).
    Column("owner", String(64), nullable=False),
    Column("sources", JSON),
    # Keeps a finished workitem from being removed.
    Column("has_lock", Boolean, nullable=False),
    # Of a filtered subscription: what must match, as DICOM JSON.
    Column("keys", JSON),
    Index("workitem_subscription_by_uid", "workitem_uid"),
)

#: What a subscriber is still to be told.
workitem_report = Table(
    "workitem_report",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("aet", String(64), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("workitem_uid", String(64), nullable=False, index=True),
    # Event Type ID (PS3.4 table CC.2.4-1).
    Column("type", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("reported_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Not before; moved on by who tries, so that nobody else does meanwhile.
    Column("next_at", Float, nullable=False),
    Index("workitem_report_by_aet", "channel", "aet", "id"),
)

#: Models that were asked for on a study, beside those that rules name.
asked_reading = Table(
    "asked_reading",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("model_name", String(64), primary_key=True),
    # Series Instance UIDs; none: any.
    Column("series", JSON, nullable=False),
    Column("urgency", String(16), nullable=False),
    # The revision that was opened again for it, 0: none.
    Column("reopened", Integer, nullable=False),
)
