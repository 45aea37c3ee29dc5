"""What modalities and archives tell of studies, and what is promised to be kept."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this step."""
    op.add_column("study", sa.Column("expected_by", sa.String(64), server_default="", nullable=False))
    op.create_table(
        "expectation",
        sa.Column("study_instance_uid", sa.String(64), primary_key=True),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("told_by", sa.String(64), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=False),
    )
    _create_notices()
    _create_commitments()


def _create_notices() -> None:
    op.create_table(
        "notice",
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("told_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("has_end", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "notice_study",
        sa.Column("notice", sa.String(64), sa.ForeignKey("notice.sop_instance_uid"), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), primary_key=True),
    )
    op.create_index("ix_notice_study_study_instance_uid", "notice_study", ["study_instance_uid"])
    op.create_table(
        "notice_instance",
        sa.Column("notice", sa.String(64), sa.ForeignKey("notice.sop_instance_uid"), primary_key=True),
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    )


def _create_commitments() -> None:
    op.create_table(
        "commitment_asked",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("requestor", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
    )
    op.create_index("commitment_asked_by", "commitment_asked", ["requestor", "transaction_uid"])
    op.create_index("ix_commitment_asked_state", "commitment_asked", ["state"])
    op.create_table(
        "commitment_wanted",
        sa.Column("transaction_uid", sa.String(64), primary_key=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_commitment_wanted_study_instance_uid", "commitment_wanted", ["study_instance_uid"])
    op.create_index("ix_commitment_wanted_state", "commitment_wanted", ["state"])
    op.create_table(
        "commitment_item",
        sa.Column(
            "transaction_uid",
            sa.String(64),
            sa.ForeignKey("commitment_wanted.transaction_uid"),
            primary_key=True,
        ),
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("result", sa.Integer()),
    )
    op.create_index("ix_commitment_item_delivery_id", "commitment_item", ["delivery_id"])
