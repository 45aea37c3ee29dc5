"""The store as one value: each part with its own questions.

In: a data folder, optionally a database URL.  Out: ``Store``.  Never: a half-open store.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from wetread.store.blobs import Blobs
from wetread.store.database import open_database
from wetread.store.deliveries import Deliveries
from wetread.store.history import History
from wetread.store.intake import Intake
from wetread.store.readings import Readings
from wetread.store.studies import Studies


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that must survive."""

    data: Path
    engine: Engine
    intake: Intake
    studies: Studies
    readings: Readings
    deliveries: Deliveries
    history: History

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()


def open_store(data: Path, database_url: str = "") -> Store:
    """Open or create the store in a data folder.

    Parameters
    ----------
    database_url
        SQLAlchemy URL; ``""`` means SQLite in ``data/index.sqlite``.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    incoming = data / "incoming"
    # What lies here was never acknowledged.
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    engine = open_database(database_url or f"sqlite:///{data / 'index.sqlite'}")
    instances = Blobs(data / "instances", ".dcm")
    for folder in ("instances", "conflicts", "readings", "documents"):
        (data / folder).mkdir(exist_ok=True)
    return Store(
        data=data,
        engine=engine,
        intake=Intake(engine, instances, Blobs(data / "conflicts", ".dcm"), incoming),
        studies=Studies(engine, instances),
        readings=Readings(engine, Blobs(data / "readings", ".zip"), Blobs(data / "documents")),
        deliveries=Deliveries(engine),
        history=History(engine),
    )
