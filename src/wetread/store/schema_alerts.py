"""The tables of alerts; others take them from ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from wetread.store.metadata import metadata

#: Critical results, and who answered them.
alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("reasons_digest", String(64), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("raised_at", Float, nullable=False, index=True),
    # domain.alert.AlertState.
    Column("state", String(16), nullable=False, index=True),
    Column("ended_at", Float),
    Column("ended_by", String(64), nullable=False),
    Column("ended_because", Text, nullable=False),
    # The same said again raises nothing anew.
    UniqueConstraint("study_instance_uid", "reasons_digest"),
)

#: Whom an alert is brought to, and how far that is.
alert_call = Table(
    "alert_call",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alert_id", ForeignKey("alert.id"), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("step", Integer, nullable=False),
    # domain.alert: Channel, CallState.
    Column("channel", String(16), nullable=False),
    Column("target", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("alert_id", "step", "channel", "target"),
)
