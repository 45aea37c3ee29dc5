"""Workitems, who is told of them, and what was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "workitem",
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("performer", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("sources", sa.JSON()),
        sa.Column("is_cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("uid"),
    )
    for column in ("state", "study_instance_uid", "patient_id", "source", "changed_at"):
        op.create_index(f"ix_workitem_{column}", "workitem", [column])
    op.create_index("workitem_by_age", "workitem", ["created_at", "uid"])
    _subscribers()
    op.create_table(
        "asked_reading",
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("series", sa.JSON(), nullable=False),
        sa.Column("urgency", sa.String(16), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "model_name"),
    )


def _subscribers() -> None:
    op.create_table(
        "workitem_subscription",
        sa.Column("aet", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("workitem_uid", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("sources", sa.JSON()),
        sa.Column("has_lock", sa.Boolean(), nullable=False),
        sa.Column("keys", sa.JSON()),
        sa.PrimaryKeyConstraint("aet", "channel", "workitem_uid"),
    )
    op.create_index("workitem_subscription_by_uid", "workitem_subscription", ["workitem_uid"])
    op.create_table(
        "workitem_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("aet", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("workitem_uid", sa.String(64), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("reported_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_workitem_report_workitem_uid", "workitem_report", ["workitem_uid"])
    op.create_index("workitem_report_by_aet", "workitem_report", ["channel", "aet", "id"])
