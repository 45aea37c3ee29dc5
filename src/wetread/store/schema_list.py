"""The tables of the reading list; others take them from ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, UniqueConstraint

from wetread.store.metadata import metadata

#: Filters that somebody keeps under a name of their own; never what they typed to find a patient.
saved_view = Table(
    "saved_view",
    metadata,
    Column("id", Integer, primary_key=True),
    # Account name.
    Column("who", String(64), nullable=False),
    Column("title", String(64), nullable=False),
    Column("filters", JSON, nullable=False),
    UniqueConstraint("who", "title"),
)
