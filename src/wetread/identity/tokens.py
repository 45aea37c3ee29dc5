"""Tokens: how programs prove who they are.

In: a name and a role; later the token.  Out: the token, once; later a ``Principal``.
Never: a token that is kept, logged or taken from an address.

References
----------
RFC 6750 (bearer tokens), section 2.3: not in the query of an address.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from wetread.errors import ConfigError
from wetread.identity import trail
from wetread.identity.principal import Principal, PrincipalKind
from wetread.identity.roles import Role
from wetread.identity.sessions import digest, read_role
from wetread.identity.throttle import Seldom
from wetread.store.tokens import NewToken, TokenRow
from wetread.store.tokens import Tokens as TokenTable

#: So that a token is known as one where it was left lying about.
PREFIX = "wtr_"
_RECORD_EVERY_S = 3600.0
#: Of an AE title, PS3.5 section 6.2.
_LONGEST_SOURCE = 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes tokens and looks them up."""

    table: TokenTable
    record: trail.Record
    seldom: Seldom = field(default_factory=Seldom)

    def make(
        self,
        name: str,
        role: Role,
        now: datetime,
        *,
        by: str,
        sources: tuple[str, ...] | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Return a new token: 256 bits, shown this once."""
        secret = PREFIX + secrets.token_urlsafe(32)
        self.table.add(
            NewToken(
                digest=digest(secret),
                name=name,
                role=role.value,
                sources=sources,
                created_by=by,
                expires_at=expires_at.timestamp() if expires_at else None,
            ),
            now,
        )
        self.record(trail.changed(by, now, f"Token {name} made, role {role.value}."))
        return secret

    def revoke(self, name: str, now: datetime, *, by: str) -> bool:
        """Take a token out of use at once; False where none in use has this name."""
        is_revoked = self.table.revoke(name, now)
        if is_revoked:
            self.record(trail.changed(by, now, f"Token {name} revoked."))
        return is_revoked

    def resolve(self, secret: str, address: str, now: datetime) -> Principal | None:
        """Return whose token this is, None where it is nobody's (any more)."""
        row = self.table.find(digest(secret)) if secret.startswith(PREFIX) else None
        why = "It is unknown." if row is None else _why_not(row, now)
        if row is None or why:
            name = f"token {row.name}" if row else trail.UNKNOWN
            if self.seldom.is_news(address, f"{name} {why}", now):
                self.record(trail.not_signed_in(name, address, now, f"A token was refused. {why}"))
            return None
        principal = Principal(
            name=f"token {row.name}",
            display_name=row.name,
            kind=PrincipalKind.TOKEN,
            role=read_role(row.role),
            sources=row.sources,
        )
        if row.used_at is None or now.timestamp() - row.used_at >= _RECORD_EVERY_S:
            self.table.mark_used(row.id, now)
            self.record(trail.signed_in(principal.name, address, now, "token"))
        return principal


def describe_state(row: TokenRow, now: datetime) -> str:
    """Return whether a token opens anything: ``in use``, ``expired`` or ``revoked``."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if _why_not(row, now) else "in use"


def read_sources(text: str) -> tuple[str, ...] | None:
    """Return senders from a field in which commas stand between them; None where it is empty: all.

    Raises
    ------
    ConfigError
        If something stands in it, but no sender: that must not open everything.
    """
    if not text.strip():
        return None
    sources = tuple(one.strip() for one in text.split(",") if one.strip())
    if not sources or any(len(one) > _LONGEST_SOURCE for one in sources):
        raise ConfigError("Senders are AE titles of 1 to 16 characters, with commas between them.")
    return sources


def _why_not(row: TokenRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return "It was revoked."
    if row.expires_at is not None and now.timestamp() >= row.expires_at:
        return "It has expired."
    return ""
