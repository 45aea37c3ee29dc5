"""What findings said when a draft was saved; room for a longer name of a kind of document."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply this step."""
    op.add_column("report", sa.Column("proposed", sa.JSON()))
    # SQLite does not hold a text to its length.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("document", "kind", type_=sa.String(16))
