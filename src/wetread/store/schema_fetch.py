"""The tables of what is fetched; use them through ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from wetread.store.metadata import metadata

#: One row per study that is fetched from a PACS.
fetch = Table(
    "fetch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("pacs", String(64), nullable=False),
    # domain.fetching.FetchReason, and its place in line: lower goes first.
    Column("reason", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    # The study whose prior it is.
    Column("for_study", String(64), nullable=False, default="", index=True),
    Column("backfill_id", ForeignKey("backfill.id"), index=True),
    Column("study_date", String(8), nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    # How many instances the PACS told when it was wanted last; NULL: it does not count.
    Column("expected_instances", Integer),
    Column("problem_code", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("wanted_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("study_instance_uid", "pacs"),
    Index("fetch_in_line", "pacs", "state", "priority"),
)

#: One row per study and PACS that is asked for its priors.
prior_search = Table(
    "prior_search",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("pacs", String(64), primary_key=True),
    # "waiting", "done", "failed"
    Column("state", String(16), nullable=False, index=True),
    # What was found, in words.
    Column("message", Text, nullable=False, default=""),
    # Study Instance UIDs of the priors that are fetched for it.
    Column("chosen", JSON, nullable=False, default=list),
    Column("updated_at", Float, nullable=False),
)

#: One row per span of days whose studies are fetched and read.
backfill = Table(
    "backfill",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pacs", String(64), nullable=False),
    # Names of the rules that decide; none: all.
    Column("rules", JSON, nullable=False),
    Column("date_from", String(8), nullable=False),
    Column("date_to", String(8), nullable=False),
    # The next day to ask for; beyond ``date_to``: all were asked for.
    Column("cursor", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    # Whether its results are delivered.
    Column("deliver", Boolean, nullable=False),
    # Studies that the PACS listed on the days asked for.
    Column("found", Integer, nullable=False, default=0),
    Column("problem_code", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("begun_by", String(64), nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

#: One row per PACS: how it went when it was asked last.
pacs_state = Table(
    "pacs_state",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("asked_at", Float, nullable=False),
    # When it answered last; NULL: never.
    Column("answered_at", Float),
    Column("problem_code", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
)

#: Earlier studies that were looked at after a later one was read: whether it is to be compared with them.
late_prior = Table(
    "late_prior",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("prior_instance_uid", String(64), primary_key=True),
    # Of the earlier study, then.
    Column("instance_count", Integer, nullable=False),
    # domain.late_prior.LateOutcome.
    Column("outcome", String(16), nullable=False),
    Column("at", Float, nullable=False),
)
