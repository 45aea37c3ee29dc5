"""What findings said when a draft was saved."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply this step."""
    op.add_column("report", sa.Column("proposed", sa.JSON()))
