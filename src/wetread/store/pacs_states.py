"""How it went when a PACS was asked, and which studies' priors are asked for.

In: outcomes.  Out: rows for pages and for whoever asks next.  Never: a question forgotten by a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from wetread.store import schema
from wetread.store.text import clean_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsRow:
    """How it went when a PACS was asked last."""

    name: str
    #: Seconds since 1970.
    asked_at: float
    answered_at: float | None
    problem_code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """A PACS that is asked for a study's priors."""

    study_instance_uid: str
    pacs: str
    #: ``waiting``, ``done`` or ``failed``.
    state: str
    message: str
    #: Study Instance UIDs of the priors that are fetched for it.
    chosen: tuple[str, ...] = ()
    updated_at: float


_state, _search = schema.pacs_state, schema.prior_search


@dataclass(frozen=True, slots=True)
class PacsStates:
    """All PACS that were asked."""

    engine: Engine

    def note(self, name: str, now: datetime, *, code: str = "", message: str = "") -> bool:
        """Note how it went; True where that is news: it failed otherwise than before, or answers again."""
        values: dict[str, Any] = {
            "asked_at": now.timestamp(),
            "problem_code": code,
            "message": clean_text(message),
        }
        if not code:
            values["answered_at"] = now.timestamp()
        with self.engine.begin() as connection:
            query = select(_state.c.problem_code).where(_state.c.name == name).with_for_update()
            row = connection.execute(query).first()
            if row is None:
                connection.execute(insert(_state).values(name=name, **values))
                return bool(code)
            connection.execute(update(_state).where(_state.c.name == name).values(**values))
            return bool(row.problem_code != code)

    def list_all(self) -> list[PacsRow]:
        """Return all that were asked, by name."""
        query = select(*[_state.c[one.name] for one in fields(PacsRow)]).order_by(_state.c.name)
        with self._reading() as connection:
            return [PacsRow(**row) for row in connection.execute(query).mappings()]

    def want_priors(self, study_instance_uid: str, pacs: str, now: datetime) -> SearchRow:
        """Note that a study's priors are wanted, once; returns how far that is."""
        known = self._find_search(study_instance_uid, pacs)
        if known is not None:
            return known
        values = {"study_instance_uid": study_instance_uid, "pacs": pacs, "state": "waiting"}
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    insert(_search).values(**values, chosen=[], message="", updated_at=now.timestamp())
                )
        except IntegrityError:
            # Another process was quicker.
            pass
        return SearchRow(
            study_instance_uid=study_instance_uid,
            pacs=pacs,
            state="waiting",
            message="",
            updated_at=now.timestamp(),
        )

    def list_searches(self, pacs: str) -> list[SearchRow]:
        """Return whose priors a PACS is to be asked for, oldest first."""
        where = _search.c.pacs == pacs, _search.c.state == "waiting"
        query = select(_search).where(*where).order_by(_search.c.updated_at)
        with self._reading() as connection:
            return [_search_row(dict(row)) for row in connection.execute(query).mappings()]

    def list_searches_of(self, study_instance_uid: str) -> list[SearchRow]:
        """Return who was asked for a study's priors."""
        query = select(_search).where(_search.c.study_instance_uid == study_instance_uid)
        with self._reading() as connection:
            return [_search_row(dict(row)) for row in connection.execute(query).mappings()]

    def end_search(
        self,
        search: SearchRow,
        state: str,
        message: str,
        now: datetime,
        chosen: tuple[str, ...] = (),
    ) -> None:
        """Note what came of a search."""
        with self.engine.begin() as connection:
            connection.execute(
                update(_search)
                .where(_search.c.study_instance_uid == search.study_instance_uid)
                .where(_search.c.pacs == search.pacs)
                .values(
                    state=state,
                    message=clean_text(message),
                    chosen=list(chosen),
                    updated_at=now.timestamp(),
                )
            )

    def _find_search(self, study: str, pacs: str) -> SearchRow | None:
        query = select(_search).where(_search.c.study_instance_uid == study, _search.c.pacs == pacs)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _search_row(dict(row))

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)


def _search_row(row: dict[str, Any]) -> SearchRow:
    return SearchRow(**row | {"chosen": tuple(row["chosen"])})
