"""What studies hold, and which object speaks for each.

In: UIDs of studies.  Out: counts, UIDs of objects.  Never: a result that was superseded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from wetread.store import schema
from wetread.store.standing import series_stands

#: Rows that are asked for at a time.
BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a study holds."""

    series: int
    instances: int
    modalities: tuple[str, ...]


def count_studies(connection: Connection, uids: list[str]) -> dict[str, Counts]:
    """Return what studies hold, by UID; nothing for those that hold nothing."""
    series = schema.series.c
    by_study: dict[str, list[tuple[str, int, int]]] = {}
    for some in batches(uids):
        query = (
            select(series.study_instance_uid, series.modality, func.count(), func.sum(series.instance_count))
            .where(series.study_instance_uid.in_(some), series_stands())
            .group_by(series.study_instance_uid, series.modality)
            .order_by(series.modality)
        )
        for uid, modality, count, instances in connection.execute(query):
            by_study.setdefault(uid, []).append((modality, int(count), int(instances)))
    return {
        uid: Counts(
            series=sum(count for _, count, _ in rows),
            instances=sum(instances for _, _, instances in rows),
            modalities=tuple(modality for modality, _, _ in rows if modality),
        )
        for uid, rows in by_study.items()
    }


def find_heads(connection: Connection, uids: list[str]) -> dict[str, str]:
    """Return the object that speaks for each study: of its lowest series of images, or of a result."""
    series = schema.series.c
    heads: dict[str, str] = {}
    for some in batches(uids):
        query = (
            select(series.study_instance_uid, series.head)
            .where(series.study_instance_uid.in_(some), series_stands())
            # What comes last is kept: images before results.
            .order_by(series.reading_id.is_(None), series.series_instance_uid.desc())
        )
        heads.update({row.study_instance_uid: row.head for row in connection.execute(query)})
    return heads


def batches(uids: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the UIDs, so many at a time."""
    for start in range(0, len(uids), BATCH):
        yield tuple(uids[start : start + BATCH])
