"""Slices as people name them: a series and a number.

In: a study, a series, an Instance Number.  Out: series of images; the object of a slice.
Never: documents; one of several slices that bear the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema

#: What shows no slices of its own.
_NO_IMAGES = ("SEG", "SR", "PR", "KO", "DOC", "OT", "RTSTRUCT", "REG")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSeries:
    """A series that a reader can point into."""

    series_instance_uid: str
    description: str


@dataclass(frozen=True, slots=True)
class Slices:
    """Those of all studies."""

    engine: Engine

    def list_series(self, study_instance_uid: str) -> list[ImageSeries]:
        """Return the series of images of a study, in the order of their numbers."""
        series, instance = schema.series.c, schema.instance.c
        query = (
            select(series.series_instance_uid, series.series_number, series.modality, instance.header)
            .join(schema.instance, instance.sop_instance_uid == series.head)
            .where(series.study_instance_uid == study_instance_uid, series.reading_id.is_(None))
            .where(series.modality.not_in(_NO_IMAGES), ~instance.is_result)
            .order_by(series.series_number, series.series_instance_uid)
        )
        found = []
        for uid, number, modality, header in self._rows(query):
            words = [str(number) if number is not None else "", modality, header.get("SeriesDescription", "")]
            description = " ".join(str(one) for one in words if one) or "series"
            found.append(ImageSeries(series_instance_uid=uid, description=description))
        return found

    def find(self, study_instance_uid: str, series_instance_uid: str, number: int) -> str:
        """Return the SOP Instance UID of a slice; ``""`` where there is none, or more than one."""
        instance = schema.instance.c
        query = (
            select(instance.sop_instance_uid)
            .where(instance.study_instance_uid == study_instance_uid)
            .where(instance.series_instance_uid == series_instance_uid)
            .where(instance.instance_number == number, ~instance.is_result)
            .limit(2)
        )
        rows = self._rows(query)
        return str(rows[0][0]) if len(rows) == 1 else ""

    def is_elsewhere(self, study_instance_uid: str, series_instance_uid: str) -> bool:
        """Tell whether another study has a series of this UID, and this one has none."""
        series = schema.series.c
        query = select(series.study_instance_uid).where(series.series_instance_uid == series_instance_uid)
        found = {row[0] for row in self._rows(query)}
        return bool(found) and study_instance_uid not in found

    def _rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return [tuple(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
