"""Views of the reading list that somebody saved.

In: an account's name, a title, filters.  Out: their views by title.
Never: somebody else's view; what was typed to find a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import NotNow, StorageError
from wetread.store import schema

_TABLE = schema.saved_view
#: Of one account.
MOST_VIEWS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """One view."""

    id: int
    who: str
    title: str
    filters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SavedViews:
    """Of all accounts."""

    engine: Engine

    def list_of(self, who: str) -> list[SavedView]:
        """Return somebody's views by title.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        query = select(_TABLE).where(_TABLE.c.who == who).order_by(_TABLE.c.title)
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return [SavedView(**row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def save(self, who: str, title: str, filters: Mapping[str, str]) -> int:
        """Keep a view, in place of one of this title; returns its number.

        Raises
        ------
        NotNow
            If there are too many.
        StorageError
            If the index refuses.
        """
        mine = _TABLE.c.who == who
        try:
            with self.engine.begin() as connection:
                connection.execute(delete(_TABLE).where(mine, _TABLE.c.title == title))
                held = connection.execute(select(func.count()).select_from(_TABLE).where(mine)).scalar_one()
                if held >= MOST_VIEWS:
                    raise NotNow(f"There are {MOST_VIEWS} views: forget one first.")
                row = insert(_TABLE).values(who=who, title=title, filters=dict(filters))
                return int(connection.execute(row.returning(_TABLE.c.id)).scalar_one())
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def forget(self, who: str, number: int) -> bool:
        """Forget a view of somebody; False where they have none of this number.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        mine = (_TABLE.c.who == who, _TABLE.c.id == number)
        try:
            with self.engine.begin() as connection:
                return bool(connection.execute(delete(_TABLE).where(*mine)).rowcount)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
