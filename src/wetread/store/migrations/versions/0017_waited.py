"""How long another vendor's AI has been waited for."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply this step."""
    op.add_column("reading", sa.Column("waited_s", sa.Float()))
