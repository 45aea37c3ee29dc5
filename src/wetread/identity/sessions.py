"""Who is signed in.

In: an account; later the cookie's value.  Out: the cookie's value; later a ``Principal``.
Never: a cookie's value in the index (a digest is enough); a session that outlives its account.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from wetread.errors import ConfigError
from wetread.identity.principal import Obligation, Principal, PrincipalKind
from wetread.identity.roles import Role
from wetread.identity.settings import SignInSettings
from wetread.store.accounts import AccountRow, Accounts, SessionRow

#: How often it is written down that somebody is still at work.
_TOUCH_EVERY_S = 20.0
_SECRET_BYTES = 32
#: A clock that is kept right by steps goes back by less.
_CLOCK_SET_BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens, looks up and closes sessions."""

    accounts: Accounts
    settings: SignInSettings

    def open(self, account_id: int, now: datetime, replaces: str = "") -> str:
        """Return the value of a new cookie; the old one's session ends (no fixation)."""
        self.close(replaces)
        at = now.timestamp()
        self.accounts.drop_sessions(
            created_before=at - self.settings.session_limit_s, seen_before=at - self.settings.idle_timeout_s
        )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self.accounts.open_session(digest(secret), account_id, now)
        return secret

    def resolve(self, secret: str, now: datetime, *, is_activity: bool) -> Principal | None:
        """Return who is signed in, None where nobody is (any more).

        Parameters
        ----------
        is_activity
            Whether a person did something: what a page asks for by itself keeps nobody signed in.
        """
        found = self.accounts.find_session(digest(secret))
        if found is None:
            return None
        session, account = found
        if not account.is_active or self._is_over(session, now):
            self.accounts.close_session(session.digest)
            return None
        if is_activity and now.timestamp() - session.seen_at >= _TOUCH_EVERY_S:
            self.accounts.touch_session(session.digest, now)
        return principal_of(account)

    def close(self, secret: str) -> None:
        """End a session; one that there is not is none to end."""
        if secret:
            self.accounts.close_session(digest(secret))

    def _is_over(self, session: SessionRow, now: datetime) -> bool:
        at = now.timestamp()
        is_idle = at - session.seen_at >= self.settings.idle_timeout_s
        # The clock was set back: else it would live for so much longer.
        is_of_the_future = session.seen_at - at > _CLOCK_SET_BACK_S
        return is_idle or is_of_the_future or at - session.created_at >= self.settings.session_limit_s


def digest(secret: str) -> str:
    """Return what the index knows of a cookie or token: 256 random bits need no salt."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def principal_of(account: AccountRow) -> Principal:
    """Return who an account stands for."""
    is_local = account.subject is None
    return Principal(
        name=account.name,
        display_name=account.display_name or account.name,
        kind=PrincipalKind.LOCAL if is_local else PrincipalKind.OIDC,
        role=read_role(account.role),
        sources=account.sources,
        account_id=account.id,
        obligation=_obligation(account) if is_local else None,
    )


def read_role(text: str) -> Role:
    """Return a role as the index holds it.

    Raises
    ------
    ConfigError
        If this version does not know it.
    """
    try:
        return Role(text)
    except ValueError as error:
        raise ConfigError("The index holds a role that this version does not know.", role=text) from error


def _obligation(account: AccountRow) -> Obligation | None:
    if account.must_change_password:
        return Obligation.CHANGE_PASSWORD
    return Obligation.SET_UP_TOTP if account.must_use_totp and not account.totp_secret else None
