"""What is fetched from elsewhere."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this step."""
