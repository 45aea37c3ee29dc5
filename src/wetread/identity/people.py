"""Administration of accounts, and what somebody does to their own.

In: names and changes.  Out: changed accounts, each change in the audit trail.
Never: a password that was not checked; a change that leaves an old session in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wetread.errors import ConfigError, SignInRefused
from wetread.identity import trail
from wetread.identity.password import Passwords, check_new_password
from wetread.identity.roles import Role
from wetread.identity.sign_in import NAME, Attempt, SignIn, fold_name
from wetread.identity.totp import match_step
from wetread.store.accounts import AccountRow, Accounts

#: What ``totp.new_secret`` makes.
_TOTP_SECRET = re.compile(r"[A-Z2-7]{32}")


@dataclass(frozen=True, slots=True)
class People:
    """Accounts as an administrator, or their owner, changes them."""

    accounts: Accounts
    passwords: Passwords
    sign_in: SignIn
    record: trail.Record

    def add(
        self,
        name: str,
        role: Role,
        password: str,
        now: datetime,
        *,
        by: str,
        display_name: str = "",
        sources: tuple[str, ...] | None = None,
        must_change_password: bool = False,
    ) -> AccountRow:
        """Add an account that signs in by password.

        Raises
        ------
        ConfigError, WeakPassword
            If the name or the password cannot be used.
        """
        name = check_name(name)
        if role is Role.SERVICE:
            raise ConfigError("A program gets a token, not an account: wetread tokens add.")
        check_new_password(password, name)
        row = self.accounts.add(
            name,
            role.value,
            now,
            password_hash=self.passwords.hash(password),
            display_name=display_name,
            sources=sources,
            must_change_password=must_change_password,
        )
        self.record(trail.changed(by, now, f"Account {name} added, role {role.value}."))
        return row

    def get(self, name: str) -> AccountRow:
        """Return an account.

        Raises
        ------
        ConfigError
            If there is none of this name.
        """
        row = self.accounts.find(fold_name(name))
        if row is None:
            raise ConfigError("There is no account of this name: see `wetread users list`.", name=name)
        return row

    def set_role(self, name: str, role: Role, now: datetime, *, by: str) -> None:
        """Give somebody another role; from their next request on."""
        if role is Role.SERVICE:
            raise ConfigError("A program gets a token, not an account: wetread tokens add.")
        self._change(name, now, by, f"role set to {role.value}", role=role.value)

    def set_active(self, name: str, is_active: bool, now: datetime, *, by: str) -> None:
        """Let somebody in again, or no more: their sessions end at once."""
        self._change(name, now, by, "enabled" if is_active else "disabled", is_active=is_active)
        if not is_active:
            self.accounts.close_sessions(self.get(name).id)

    def reset_password(self, name: str, password: str, now: datetime, *, by: str) -> None:
        """Give somebody a password that they must change at once; their sessions end, a lock too."""
        row = self.get(name)
        if row.subject is not None:
            raise ConfigError("This account signs in by OpenID Connect: it has no password.", name=name)
        check_new_password(password, row.name)
        self._change(
            name,
            now,
            by,
            "password reset",
            password_hash=self.passwords.hash(password),
            must_change_password=True,
            failures=0,
            locked_until=None,
        )
        self.accounts.close_sessions(row.id)

    def require_totp(self, name: str, is_required: bool, now: datetime, *, by: str) -> None:
        """Demand a second factor of somebody: set up at their next request."""
        told = "second factor required" if is_required else "second factor no longer required"
        self._change(name, now, by, told, must_use_totp=is_required)

    def reset_totp(self, name: str, now: datetime, *, by: str) -> None:
        """Forget somebody's authenticator app, e.g. of a lost telephone."""
        self._change(name, now, by, "second factor removed", totp_secret="", totp_step=0)
        self.accounts.close_sessions(self.get(name).id)

    def unlock(self, name: str, now: datetime, *, by: str) -> None:
        """Let somebody try again before their lock is over."""
        self._change(name, now, by, "unlocked", failures=0, locked_until=None)

    def change_own_password(self, attempt: Attempt, password: str, now: datetime) -> None:
        """Give oneself another password; every session of the account ends.

        Raises
        ------
        SignInRefused, TooManyTries, WeakPassword
            If the old one (or the code) is wrong, or the new one cannot be used.
        """
        row = self.get(attempt.name)
        check_new_password(password, row.name)
        self.sign_in.judge(attempt, now)
        hashed = self.passwords.hash(password)
        told = "own password changed"
        self._change(row.name, now, row.name, told, password_hash=hashed, must_change_password=False)
        self.accounts.close_sessions(row.id)

    def set_own_totp(self, attempt: Attempt, secret: str, code: str, now: datetime) -> None:
        """Set up an authenticator app of one's own.

        Parameters
        ----------
        attempt
            Password, and the code of the app so far where there is one.
        code
            Of the new app: it shows that the app works.

        Raises
        ------
        SignInRefused, TooManyTries
            If something is wrong.
        """
        row = self.get(attempt.name)
        step = match_step(secret, code, 0, now) if _TOTP_SECRET.fullmatch(secret) else None
        if step is None:
            raise SignInRefused("The code of the new app is wrong: check the clock of the telephone.")
        self.sign_in.judge(attempt, now)
        self._change(row.name, now, row.name, "second factor set up", totp_secret=secret, totp_step=step)
        self.accounts.close_sessions(row.id)

    def _change(self, name: str, now: datetime, by: str, told: str, **values: Any) -> None:
        row = self.get(name)
        self.accounts.set(row.id, **values)
        self.record(trail.changed(by, now, f"Account {row.name}: {told}."))


def check_name(name: str) -> str:
    """Return the name of an account as it is kept.

    Raises
    ------
    ConfigError
        If it cannot be one.
    """
    folded = fold_name(name)
    if not NAME.fullmatch(folded):
        raise ConfigError(
            "A name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit.", name=name
        )
    return folded
