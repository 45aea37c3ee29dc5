"""A part of a patient's name is found in an index alone."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply this step."""
    op.drop_index("study_by_patient_key", "study")
    op.create_index("study_by_patient_key", "study", ["patient_key", "study_instance_uid"])
