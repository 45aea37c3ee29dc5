"""What the reading list is ordered by; views that readers saved."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_NUMBER = "CASE {} WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END"
_STANDING = (
    "FROM reading WHERE reading.study_instance_uid = study.study_instance_uid AND NOT reading.superseded"
)
_BY_RULE = _NUMBER.format("study.urgency")
_BY_MODELS = f"coalesce((SELECT min({_NUMBER.format('reading.priority')}) {_STANDING}), 2)"
_BY_READER = (
    "(SELECT CASE WHEN given_priority.priority IS NULL THEN NULL"  # noqa: S608 - our own words
    f" ELSE {_NUMBER.format('given_priority.priority')} END"
    " FROM given_priority WHERE given_priority.study_instance_uid = study.study_instance_uid"
    " ORDER BY given_priority.id DESC LIMIT 1)"
)
_SCORE = (
    f"coalesce((SELECT reading.score {_STANDING}"
    f" ORDER BY {_NUMBER.format('reading.priority')}, reading.score DESC LIMIT 1), 0)"
)


def upgrade() -> None:
    """Apply this step."""
    op.add_column("study", sa.Column("list_priority", sa.Integer(), nullable=False, server_default="2"))
    op.add_column("study", sa.Column("list_score", sa.Float(), nullable=False, server_default="0"))
    op.add_column("study", sa.Column("list_findings", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE study SET"  # noqa: S608 - our own words
        f" list_priority = coalesce({_BY_READER},"
        f" CASE WHEN {_BY_MODELS} < {_BY_RULE} THEN {_BY_MODELS} ELSE {_BY_RULE} END),"
        f" list_score = CASE WHEN {_SCORE} > 1 THEN 1 WHEN {_SCORE} < 0 THEN 0 ELSE {_SCORE} END,"
        f" list_findings = coalesce((SELECT sum(reading.finding_count) {_STANDING}), 0)"
    )
    op.create_index(
        "study_on_list",
        "study",
        [
            "reported_at", "list_priority", "state", "first_received_at", "list_score", "list_findings",
            "source", "study_instance_uid",
        ],
    )  # fmt: skip
    # Open pages ask for the newest of these twice a second.
    op.create_index("ix_revision_begun_at", "revision", ["begun_at"])
    op.create_index("ix_revision_finished_at", "revision", ["finished_at"])
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("title", sa.String(64), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("who", "title"),
    )
