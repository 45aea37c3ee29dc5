"""What queries ask for: series, keys of names, headers as DICOM JSON."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from wetread.store.catalogued import series_values, study_values

revision = "0003"
down_revision = "0002"

_BATCH = 1000
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply this step."""
    for name, kind in (
        ("study_id", sa.String(64)),
        ("referring_physician_key", _KEY),
        ("patient_key", _KEY),
    ):
        op.add_column("study", sa.Column(name, kind, server_default="", nullable=False))
    op.create_index("study_by_date", "study", ["study_date", "study_time", "study_instance_uid"])
    op.create_index("study_by_patient_key", "study", ["patient_key"])
    op.add_column("instance", sa.Column("instance_number", sa.Integer()))
    op.add_column("instance", sa.Column("metadata", sa.LargeBinary()))
    op.add_column("document", sa.Column("metadata", sa.LargeBinary()))
    op.create_table(
        "series",
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("series_number", sa.Integer()),
        sa.Column("performed_date", sa.String(8), nullable=False),
        sa.Column("performed_time", sa.String(16), nullable=False),
        sa.Column("scheduled_step_id", sa.String(64), nullable=False),
        sa.Column("requested_procedure_id", sa.String(64), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("reading_id", sa.Integer()),
        sa.ForeignKeyConstraint(["study_instance_uid"], ["study.study_instance_uid"]),
        sa.ForeignKeyConstraint(["reading_id"], ["reading.id"]),
        sa.PrimaryKeyConstraint("study_instance_uid", "series_instance_uid"),
    )
    op.create_index("ix_series_reading_id", "series", ["reading_id"])
    op.create_index("series_by_uid", "series", ["series_instance_uid"])
    op.create_index("series_by_modality", "series", ["modality", "study_instance_uid"])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """Catalogue what is there, by one image of each series; documents follow when the service runs."""
    instance = sa.table(
        "instance",
        *(sa.column(name) for name in ("sop_instance_uid", "study_instance_uid", "series_instance_uid")),
        *(sa.column("is_result", sa.Boolean), sa.column("header", sa.JSON)),
    )
    heads = (
        sa.select(
            sa.func.min(instance.c.sop_instance_uid).label("head"),
            sa.func.count().label("count"),
        )
        .where(~instance.c.is_result)
        .group_by(instance.c.study_instance_uid, instance.c.series_instance_uid)
        .subquery()
    )
    query = sa.select(instance, heads.c.count).join(heads, heads.c.head == instance.c.sop_instance_uid)
    rows = connection.execute(query).mappings().all()
    for start in range(0, len(rows), _BATCH):
        _fill_some(connection, rows[start : start + _BATCH])


def _fill_some(connection: sa.Connection, rows: Sequence[sa.RowMapping]) -> None:
    columns = "study_id", "referring_physician_key", "patient_key"
    study = sa.table("study", sa.column("study_instance_uid"), *(sa.column(name) for name in columns))
    names = (
        *("study_instance_uid", "series_instance_uid", "modality", "series_number", "performed_date"),
        *("performed_time", "scheduled_step_id", "requested_procedure_id", "instance_count", "head"),
    )
    series = sa.table("series", *(sa.column(name) for name in names))
    update = study.update().where(study.c.study_instance_uid == sa.bindparam("uid"))
    connection.execute(
        update.values({name: sa.bindparam(f"new_{name}") for name in columns}),
        [
            {"uid": row["study_instance_uid"]}
            | {f"new_{name}": value for name, value in study_values(row["header"]).items()}
            for row in rows
        ],
    )
    connection.execute(
        series.insert(),
        [
            {
                "study_instance_uid": row["study_instance_uid"],
                "series_instance_uid": row["series_instance_uid"],
                "instance_count": row["count"],
                "head": row["sop_instance_uid"],
            }
            | series_values(row["header"])
            for row in rows
        ],
    )
