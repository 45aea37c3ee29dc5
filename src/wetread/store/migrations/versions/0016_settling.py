"""Which Readings readers have changed since a report of ours said so."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply this step.

    What was changed before is left alone: nobody expects reports of last year's studies today.
    """
    op.create_table(
        "settling",
        sa.Column("reading_digest", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("reading_digest"),
    )
    op.create_index("ix_settling_study_instance_uid", "settling", ["study_instance_uid"])
    op.create_index("ix_settling_is_open", "settling", ["is_open"])
