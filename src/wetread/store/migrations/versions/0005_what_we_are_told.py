"""What modalities and archives tell of studies, and what they promise to keep."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this step."""
