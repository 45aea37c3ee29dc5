"""Accounts and the sessions of who is signed in.

In: names, roles, digests of secrets.  Out: rows.
Never: a password, a cookie, a decision; a TOTP secret in plain text where a key is configured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, RowMapping, bindparam, delete, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from wetread.errors import ConfigError
from wetread.sealed import SealError
from wetread.store import schema
from wetread.store.cipher import Vault
from wetread.store.database import empty_log
from wetread.store.secrets import find_secret_key, open_secret, seal_secret
from wetread.store.together import reading, writing

T = TypeVar("T")
# Built once: they are asked for each request.
_ANY = select(schema.account.c.id).limit(1)
_ACCOUNT = select(schema.account).where(schema.account.c.id == bindparam("id"))
_SESSION = select(schema.session).where(schema.session.c.digest == bindparam("digest"))
#: Stands for the key of a secret that nobody can open.
DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One person who may sign in."""

    id: int
    name: str
    display_name: str
    role: str
    #: AE titles of the senders whose studies it may see; None: all.
    sources: tuple[str, ...] | None
    #: argon2id in PHC form; ``""``: signs in by OpenID Connect only.
    password_hash: str
    #: ``"issuer subject"`` of OpenID Connect; None: a local one.
    subject: str | None
    #: As it is stored: ``Accounts.open_totp`` gives the secret; ``""``: no app is set up.
    totp_secret: str = field(repr=False)
    totp_step: int
    must_change_password: bool
    must_use_totp: bool
    is_active: bool
    #: Wrong passwords and codes since the last right one.
    failures: int
    #: Seconds since 1970.
    locked_until: float | None
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One browser that is signed in."""

    digest: str
    account_id: int
    #: Seconds since 1970.
    created_at: float
    seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What became of the TOTP secrets."""

    sealed: int
    #: Names of the accounts whose secret no key of ours opens: nothing was done to it.
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts by name; sessions by the digest of their cookie."""

    engine: Engine
    vault: Vault

    def add(self, name: str, role: str, now: datetime, **values: Any) -> AccountRow:
        """Add an account.

        Raises
        ------
        ConfigError
            If there is one of this name.
        """
        row = {"name": name, "role": role, "created_at": now.timestamp(), **self._storable(values, name)}
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(schema.account).values(row))
        except IntegrityError as error:
            raise ConfigError("There is an account of this name already.", name=name) from error
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def find(self, name: str) -> AccountRow | None:
        """Return the account of a name, None where there is none."""
        return self._first(schema.account.c.name == name)

    def find_by_subject(self, subject: str) -> AccountRow | None:
        """Return the account that OpenID Connect knows by this subject, None where there is none."""
        return self._first(schema.account.c.subject == subject)

    def list_all(self) -> list[AccountRow]:
        """Return all accounts by name."""
        return self._rows()

    def has_any(self) -> bool:
        """Tell whether there is an account, active or not."""
        with reading(self.engine) as connection:
            return connection.execute(_ANY).first() is not None

    def change(self, account_id: int, decide: Callable[[AccountRow], tuple[Mapping[str, Any], T]]) -> T:
        """Change an account while nobody else can: what is decided is decided on what stands.

        Parameters
        ----------
        decide
            Gets the row, returns the columns to set and what ``change`` returns.
        """
        where = schema.account.c.id == account_id
        with self.engine.begin() as connection:
            row = connection.execute(select(schema.account).where(where).with_for_update()).mappings().one()
            values, answer = decide(_account(row))
            if values:
                connection.execute(
                    update(schema.account).where(where).values(self._storable(values, row["name"]))
                )
        return answer

    def set(self, account_id: int, **values: Any) -> None:
        """Set columns of an account."""
        self.change(account_id, lambda _: (values, None))

    def open_totp(self, account: AccountRow) -> str:
        """Return the secret of an account's authenticator app.

        Raises
        ------
        SealError
            If no key of ours opens it, it was changed, or it is another account's.
        """
        return open_secret(self.vault, account.name, account.totp_secret)

    def count_secret_keys(self) -> Mapping[str, int]:
        """Count the TOTP secrets by the key that opens them, ``""`` for those in plain text.

        Those that nobody can open count under ``damaged``.
        """
        return Counter(_key_of(row.totp_secret) for row in self.list_all() if row.totp_secret)

    def renew_secrets(self) -> Renewal:
        """Seal every TOTP secret with the current key; without one they stay as they are.

        Raises
        ------
        SQLAlchemyError
            If the index refuses.
        """
        if self.vault.keyring is None:
            return Renewal(sealed=0, failed=())
        sealed, failed = 0, []
        for row in self.list_all():
            if not row.totp_secret or _key_of(row.totp_secret) == self.vault.key_id:
                continue
            try:
                # Set is sealed, with the current key.
                self.change(row.id, lambda held: ({"totp_secret": self.open_totp(held)}, None))
                sealed += 1
            except SealError:
                failed.append(row.name)
        if sealed:
            empty_log(self.engine)
        return Renewal(sealed=sealed, failed=tuple(failed))

    def open_session(self, digest: str, account_id: int, now: datetime) -> None:
        """Keep a session."""
        at = now.timestamp()
        values = {"digest": digest, "account_id": account_id, "created_at": at, "seen_at": at}
        with self.engine.begin() as connection:
            connection.execute(insert(schema.session).values(values))

    def find_session(self, digest: str) -> tuple[SessionRow, AccountRow] | None:
        """Return a session and whose it is, None where there is none."""
        with reading(self.engine) as connection:
            session = connection.execute(_SESSION, {"digest": digest}).mappings().first()
            if session is None:
                return None
            account = connection.execute(_ACCOUNT, {"id": session["account_id"]}).mappings().first()
        return (SessionRow(**session), _account(account)) if account is not None else None

    def touch_session(self, digest: str, now: datetime) -> None:
        """Note that the person behind a session did something."""
        with writing(self.engine) as connection:
            connection.execute(
                update(schema.session)
                .where(schema.session.c.digest == digest)
                .values(seen_at=now.timestamp())
            )

    def close_session(self, digest: str) -> None:
        """Forget a session."""
        self._delete(schema.session.c.digest == digest)

    def close_sessions(self, account_id: int) -> None:
        """Forget all sessions of an account."""
        self._delete(schema.session.c.account_id == account_id)

    def drop_sessions(self, *, created_before: float, seen_before: float) -> None:
        """Forget sessions that are over (seconds since 1970)."""
        table = schema.session
        self._delete((table.c.created_at <= created_before) | (table.c.seen_at <= seen_before))

    def _storable(self, values: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the columns of an account as the database takes them."""
        plain = dict(values)
        if "sources" in plain:
            # None is SQL NULL, not JSON null.
            plain["sources"] = list(plain["sources"]) if plain["sources"] is not None else null()
        if "totp_secret" in plain:
            plain["totp_secret"] = seal_secret(self.vault, name, plain["totp_secret"])
        return plain

    def _delete(self, where: ColumnElement[bool]) -> None:
        with writing(self.engine) as connection:
            connection.execute(delete(schema.session).where(where))

    def _first(self, where: ColumnElement[bool]) -> AccountRow | None:
        rows = self._rows(where)
        return rows[0] if rows else None

    def _rows(self, *where: ColumnElement[bool]) -> list[AccountRow]:
        query = select(schema.account).where(*where).order_by(schema.account.c.name)
        with reading(self.engine) as connection:
            return [_account(row) for row in connection.execute(query).mappings()]


def _account(row: RowMapping) -> AccountRow:
    sources = row["sources"]
    return AccountRow(**{**row, "sources": tuple(sources) if sources is not None else None})


def _key_of(secret: str) -> str:
    try:
        return find_secret_key(secret)
    except SealError:
        return DAMAGED
