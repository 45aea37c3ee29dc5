"""Tokens: the keys of programs.

In: names, roles, digests.  Out: rows.  Never: a token itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, RowMapping, bindparam, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from wetread.errors import ConfigError
from wetread.store import schema
from wetread.store.together import reading, writing

# Built once: it is asked for each request.
_FIND = select(schema.token).where(schema.token.c.digest == bindparam("digest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One program that may ask."""

    id: int
    digest: str
    name: str
    role: str
    #: AE titles of the senders whose studies it may see; None: all.
    sources: tuple[str, ...] | None
    #: Seconds since 1970.
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    used_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What is kept of a token that was just made."""

    digest: str
    name: str
    role: str
    sources: tuple[str, ...] | None
    created_by: str
    #: Seconds since 1970; None: until it is revoked.
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by digest and by name."""

    engine: Engine

    def add(self, token: NewToken, now: datetime) -> None:
        """Keep a token.

        Raises
        ------
        ConfigError
            If there is, or was, one of this name.
        """
        values = {
            "digest": token.digest,
            "name": token.name,
            "role": token.role,
            # SQL NULL, not JSON null.
            "sources": list(token.sources) if token.sources is not None else null(),
            "created_by": token.created_by,
            "created_at": now.timestamp(),
            "expires_at": token.expires_at,
        }
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(schema.token).values(values))
        except IntegrityError as error:
            raise ConfigError("There is, or was, a token of this name.", name=token.name) from error

    def find(self, digest: str) -> TokenRow | None:
        """Return the token of a digest, revoked and expired ones too; None where there is none."""
        with reading(self.engine) as connection:
            row = connection.execute(_FIND, {"digest": digest}).mappings().first()
        return None if row is None else _token(row)

    def list_all(self) -> list[TokenRow]:
        """Return all tokens by name, revoked ones too."""
        query = select(schema.token).order_by(schema.token.c.name)
        with reading(self.engine) as connection:
            return [_token(row) for row in connection.execute(query).mappings()]

    def revoke(self, name: str, now: datetime) -> bool:
        """Take a token out of use; False where no token in use has this name."""
        table = schema.token
        with self.engine.begin() as connection:
            outcome = connection.execute(
                update(table)
                .where(table.c.name == name, table.c.revoked_at.is_(None))
                .values(revoked_at=now.timestamp())
            )
            return bool(outcome.rowcount)

    def mark_used(self, token_id: int, now: datetime) -> None:
        """Note when a token was used."""
        with writing(self.engine) as connection:
            connection.execute(
                update(schema.token).where(schema.token.c.id == token_id).values(used_at=now.timestamp())
            )


def _token(row: RowMapping) -> TokenRow:
    sources = row["sources"]
    return TokenRow(**{**row, "sources": tuple(sources) if sources is not None else None})
