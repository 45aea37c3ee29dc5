"""What the reading list is ordered by, kept on the study's row: the list is long, and asked for all the time.

In: a study about which a rule, a model or a reader said something.  Out: its row's priority, score, findings.
Never: another order than that of ``worklist``; a rank that is older than what it was worked out from.

Whoever changes what counts calls ``keep_rank`` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, select, update

from wetread.domain.reading import Priority
from wetread.store import schema

#: 0 is the most urgent.
NUMBERS: Mapping[Priority, int] = MappingProxyType({one: number for number, one in enumerate(Priority)})


def keep_rank(connection: Connection, study_instance_uid: str) -> None:
    """Work out anew how urgent a study is, within the caller's transaction; call it behind the change."""
    study = schema.study
    mine = study.c.study_instance_uid == study_instance_uid
    # On PostgreSQL whoever changes the same study waits here, and then sees what we did.
    urgency = connection.execute(select(study.c.urgency).where(mine).with_for_update()).scalar()
    if urgency is None:
        return
    said = connection.execute(_said(study_instance_uid)).all()
    given = connection.execute(_given(study_instance_uid)).scalar()
    numbers = [(NUMBERS[Priority(one.priority)], -one.score) for one in said]
    first = min(numbers, default=(NUMBERS[Priority.ROUTINE], 0.0))
    by_models_and_rules = min(first[0], NUMBERS[Priority(urgency)])
    values: dict[str, Any] = {
        "list_priority": NUMBERS[Priority(given)] if given else by_models_and_rules,
        "list_score": min(max(-first[1], 0.0), 1.0),
        "list_findings": sum(one.finding_count for one in said),
    }
    connection.execute(update(study).where(mine).values(values))


def _said(study_instance_uid: str) -> Any:
    table = schema.reading.c
    return select(table.priority, table.score, table.finding_count).where(
        table.study_instance_uid == study_instance_uid, ~table.superseded
    )


def _given(study_instance_uid: str) -> Any:
    table = schema.given_priority.c
    return (
        select(table.priority)
        .where(table.study_instance_uid == study_instance_uid)
        .order_by(table.id.desc())
        .limit(1)
    )
