"""The tables of model states; others take them from ``schema``.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from wetread.store.metadata import metadata

#: What was decided about each version of a model; the newest row of a digest is how it stands.
model_change = Table(
    "model_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, index=True),
    Column("version", String(64), nullable=False),
    # sha256 over the package's files.
    Column("digest", String(64), nullable=False),
    # domain.lifecycle: ModelState, Cause.
    Column("state", String(16), nullable=False),
    Column("cause", String(16), nullable=False),
    # False: it reads nothing, whatever its state, until somebody restores it.
    Column("in_service", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("why", Text, nullable=False),
    # sha256 of the metrics.json that spoke for it; "": none was asked for.
    Column("report_digest", String(64), nullable=False),
    Index("model_change_by_digest", "digest", "id"),
)

#: Readings that a version failed at, one after the other, since the last that it did not.
model_failure = Table(
    "model_failure",
    metadata,
    Column("digest", String(64), primary_key=True),
    # ``study_key`` and code of each, oldest first; a study counts once.
    Column("failures", JSON, nullable=False),
)

#: Thresholds that versions read with; the newest of a digest and place counts there.
operating_point = Table(
    "operating_point",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_name", String(64), nullable=False, index=True),
    Column("version", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    # What it was chosen by.
    Column("name", String(128), nullable=False),
    Column("threshold", Float, nullable=False),
    # store.operating_points.Scope, and where that is.
    Column("scope", String(16), nullable=False),
    Column("place", String(64), nullable=False),
    Column("report_digest", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("why", Text, nullable=False),
)

#: What versions in the shadow read beside the live ones. Nothing that is shown, ranked, composed, delivered
#: or handed out asks this table.
shadow_reading = Table(
    "shadow_reading",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("model_name", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("model_digest", String(64), nullable=False),
    # The decision that brought it into the shadow (``model_change``); 0: its package's own word.
    Column("period", Integer, nullable=False),
    # domain.shadow.ShadowState.
    Column("state", String(16), nullable=False),
    # domain.shadow.Said, of itself and of the live version; {}: nothing.
    Column("said", JSON, nullable=False),
    Column("beside", JSON, nullable=False),
    # When it was planned; when it was read.
    Column("at", Float, nullable=False),
    # A newer revision of its study was read.
    Column("superseded", Boolean, nullable=False),
    UniqueConstraint("study_instance_uid", "revision", "model_digest"),
    Index("shadow_reading_by_state", "state", "id"),
    Index("shadow_reading_by_version", "model_digest", "period", "id"),
)
