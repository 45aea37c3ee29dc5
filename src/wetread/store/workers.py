"""Which processes work on a shared database, and which of them are dead.

In: the name of a process.  Out: rows of ``worker``.  Never: another clock than the database's.

PostgreSQL only: on SQLite one process has the data folder to itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, delete, event, extract, func, insert, select, update

from wetread.store import schema
from wetread.store.database import connect

#: Who was not heard of for this long is dead: its work goes to others. Longer than a live process is silent:
#: at worst its connection is lost (noticed after 5 s), the next is refused or hangs (5 s), the one after that
#: (2.5 s later) beats. Short enough that others end within a minute what a dead one had begun.
TIME_TO_LIVE_S = 20.0
#: libpq's words, for beats alone: they are small, and none may wait as long as a study may.
_IMPATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "tcp_user_timeout": 5_000,
    "application_name": "wetread heartbeat",
}

_NOW = extract("epoch", func.clock_timestamp())
_beat_at = schema.worker.c.beat_at


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that share a database."""

    engine: Engine
    time_to_live_s: float = TIME_TO_LIVE_S

    def apart(self) -> Workers:
        """Return the same over connections of its own, which wait for nothing else; ``close`` it."""
        engine = connect(self.engine.url.render_as_string(hide_password=False))
        event.listen(engine, "do_connect", _be_impatient)
        return replace(self, engine=engine)

    def close(self) -> None:
        """Close the connections of what was set ``apart``."""
        self.engine.dispose()

    def join(self, worker_id: str) -> None:
        """Enter a process; its name must never have been used before."""
        with self.engine.begin() as connection:
            connection.execute(insert(schema.worker).values(id=worker_id, started_at=_NOW, beat_at=_NOW))

    def beat(self, worker_id: str) -> bool:
        """Say that a process is alive; False: others took it for dead, and its work."""
        with self.engine.begin() as connection:
            beaten = connection.execute(
                update(schema.worker).where(schema.worker.c.id == worker_id).values(beat_at=_NOW)
            )
            return beaten.rowcount == 1

    def list_live(self) -> set[str]:
        """Return the names of the processes that were heard of lately."""
        query = select(schema.worker.c.id).where(_beat_at > _NOW - self.time_to_live_s)
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def list_dead(self) -> set[str]:
        """Return the names of the processes that stand in the table and were not heard of."""
        query = select(schema.worker.c.id).where(_beat_at <= _NOW - self.time_to_live_s)
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def bury(self, worker_ids: Collection[str]) -> set[str]:
        """Strike the dead off; returns those that were still entered.

        Should one of them live after all, its next ``beat`` tells it.
        """
        dead = schema.worker.c.id.in_(sorted(worker_ids)) & (_beat_at <= _NOW - self.time_to_live_s)
        with self.engine.begin() as connection:
            return set(
                connection.execute(delete(schema.worker).where(dead).returning(schema.worker.c.id)).scalars()
            )

    def leave(self, worker_id: str) -> None:
        """Strike a process off that ends by itself: what it leaves is taken over at once."""
        with self.engine.begin() as connection:
            connection.execute(delete(schema.worker).where(schema.worker.c.id == worker_id))


def _be_impatient(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    parameters.update(_IMPATIENCE)
