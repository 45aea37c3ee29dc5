"""Sign in by name, password and code.

In: what somebody typed, and from where.  Out: whose account it is, or one refusal for every reason.
Never: a hint which of name, password, code or lock it was; a try that is not counted.

Whether it is right is worked out first; whether it counts is decided on the account's row while nobody
else can change it. So a hundred tries at once are still a hundred tries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

from wetread.errors import SignInRefused, TooManyTries
from wetread.identity import trail
from wetread.identity.password import Passwords
from wetread.identity.settings import SignInSettings
from wetread.identity.throttle import Seldom, Throttle
from wetread.identity.totp import match_step
from wetread.sealed import SealError
from wetread.store.accounts import AccountRow, Accounts

_LONGEST_LOCK_S = 86400.0
#: What an account can be called; the index is not asked for anything else.
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class Verdict(StrEnum):
    """How a try ended; for the audit trail, never for whoever tried."""

    RIGHT = "right"
    WRONG_PASSWORD = "The password was wrong."  # noqa: S105 - a sentence
    WRONG_CODE = "The code was wrong, missing or used already."
    UNREADABLE_SECRET = "The secret of the authenticator app does not open: reset-totp."  # noqa: S105 - a sentence
    LOCKED = "The account was locked."
    DISABLED = "The account is disabled."


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What somebody typed."""

    name: str
    password: str
    #: Of the authenticator app; ``""`` where none is set up.
    code: str = ""
    #: Where from.
    address: str = ""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Judges attempts."""

    accounts: Accounts
    passwords: Passwords
    settings: SignInSettings
    throttle: Throttle
    record: trail.Record
    seldom: Seldom = field(default_factory=Seldom)

    def judge(self, attempt: Attempt, now: datetime) -> AccountRow:
        """Return the account that signs in.

        Raises
        ------
        SignInRefused
            If anything is wrong; it does not say what.
        TooManyTries
            If this address failed too often, or too many people sign in at this moment.
        """
        try:
            self.throttle.check(attempt.address, now)
        except TooManyTries:
            told = "Not looked at: too many failures from this address."
            if self.seldom.is_news(attempt.address, told, now):
                self.record(trail.not_signed_in(trail.UNKNOWN, attempt.address, now, told))
            raise
        name = fold_name(attempt.name)
        row = self.accounts.find(name) if NAME.fullmatch(name) else None
        is_right = self.passwords.verify(row.password_hash if row else "", attempt.password)
        if row is None:
            self._refuse(trail.UNKNOWN, attempt, now, "There is no account of this name.")
        verdict, lock_s = self.accounts.change(
            row.id, lambda held: self._decide(held, row, attempt, now, is_right=is_right)
        )
        if lock_s:
            self.record(trail.locked(row.name, attempt.address, now, lock_s))
        if verdict is not Verdict.RIGHT:
            self._refuse(row.name, attempt, now, verdict.value)
        if self.passwords.is_outdated(row.password_hash):
            self.accounts.set(row.id, password_hash=self.passwords.hash(attempt.password))
        return row

    def _decide(
        self, held: AccountRow, seen: AccountRow, attempt: Attempt, now: datetime, *, is_right: bool
    ) -> tuple[Mapping[str, Any], tuple[Verdict, float]]:
        if held.locked_until is not None and now.timestamp() < held.locked_until:
            return {}, (Verdict.LOCKED, 0.0)
        if not held.is_active:
            return {}, (Verdict.DISABLED, 0.0)
        # What was compared must still be the password.
        if not is_right or held.password_hash != seen.password_hash:
            return self._count(held, now, Verdict.WRONG_PASSWORD)
        verdict, step = self._check_code(held, attempt, now)
        if verdict is not Verdict.RIGHT:
            return self._count(held, now, verdict)
        return {"failures": 0, "locked_until": None, "totp_step": step}, (Verdict.RIGHT, 0.0)

    def _check_code(self, held: AccountRow, attempt: Attempt, now: datetime) -> tuple[Verdict, int]:
        """Return what the code is, and the newest time step that is used up then."""
        if not held.totp_secret:
            return Verdict.RIGHT, held.totp_step
        try:
            secret = self.accounts.open_totp(held)
        except SealError:
            return Verdict.UNREADABLE_SECRET, held.totp_step
        found = match_step(secret, attempt.code, held.totp_step, now)
        return (Verdict.WRONG_CODE, held.totp_step) if found is None else (Verdict.RIGHT, found)

    def _count(
        self, held: AccountRow, now: datetime, verdict: Verdict
    ) -> tuple[Mapping[str, Any], tuple[Verdict, float]]:
        failures = held.failures + 1
        too_many = failures - self.settings.lock_after
        if too_many < 0:
            return {"failures": failures}, (verdict, 0.0)
        lock_s = min(self.settings.lock_s * 2.0 ** min(too_many, 30), _LONGEST_LOCK_S)
        return {"failures": failures, "locked_until": now.timestamp() + lock_s}, (verdict, lock_s)

    def _refuse(self, name: str, attempt: Attempt, now: datetime, why: str) -> NoReturn:
        self.throttle.note(attempt.address, now)
        self.record(trail.not_signed_in(name, attempt.address, now, why))
        raise SignInRefused


def fold_name(name: str) -> str:
    """Return a name as accounts are called: people type capitals and spaces around it."""
    return name.strip().lower()
