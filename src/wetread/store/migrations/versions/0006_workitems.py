"""Workitems, and who is told of them."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply this step."""
