"""Where the index is, and what stays free beside it.

In: ``[store]`` of ``wetread.toml``.  Out: ``StoreSettings``, a database URL.
Never: a password in an error or a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from wetread.errors import ConfigError

_POSTGRESQL = "postgresql+psycopg"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """``[store]``: which database holds the index."""

    #: ``postgresql://USER@HOST/NAME``; left out: SQLite in the data folder. What the URL does not say, libpq
    #: takes from its environment (PGPASSFILE, PGSERVICE, PGSSLMODE ...).
    database: str = ""
    #: A file whose first line is that URL: for a password that must not stand in the configuration.
    database_file: Path | None = None
    #: With less free room on the data folder's disk, in MiB, no image is taken (at most 2 % of the disk); 0:
    #: until the disk itself refuses.
    reserve_mb: int = 1024

    @property
    def is_shared(self) -> bool:
        """Whether several processes may work on it."""
        return bool(self.database) or self.database_file is not None


def read_database_url(settings: StoreSettings) -> str:
    """Return the SQLAlchemy URL of the database, ``""`` for SQLite in the data folder.

    Raises
    ------
    ConfigError
        If it is none of PostgreSQL, given twice, or its file cannot be read.
    """
    if settings.database and settings.database_file is not None:
        raise ConfigError("Give store.database or store.database_file, not both.")
    text = settings.database
    if settings.database_file is not None:
        try:
            text = settings.database_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                "store.database_file cannot be read: check path and permissions.", path=settings.database_file
            ) from error
    if not settings.is_shared:
        return ""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Without the text, and without what was made of it: it may hold a password.
        raise ConfigError("store.database is no URL: write postgresql://USER@HOST/NAME.") from None
    if url.drivername not in ("postgresql", _POSTGRESQL):
        raise ConfigError("store.database must be PostgreSQL: write postgresql://USER@HOST/NAME.")
    return url.set(drivername=_POSTGRESQL).render_as_string(hide_password=False)
