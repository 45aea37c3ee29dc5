"""Earlier studies that came after a later one was read."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "late_prior",
        sa.Column("study_instance_uid", sa.String(64), primary_key=True),
        sa.Column("prior_instance_uid", sa.String(64), primary_key=True),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
