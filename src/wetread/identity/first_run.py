"""The first administrator, made by whoever reads what the service printed.

In: the code of this start, a name, a password.  Out: the first account.
Never: a default password; an account for whoever comes first; a second use.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass, field

from wetread.errors import NotHeld, SignInRefused, WeakPassword
from wetread.identity import trail
from wetread.identity.identity import Identity
from wetread.identity.roles import Role
from wetread.identity.sign_in import Attempt

#: Nothing that is read for something else.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH, _GROUP = 20, 5
_BY = "first run"


def make_code() -> str:
    """Return a code of 100 bits in groups, e.g. ``"ABCDE-FGHJK-LMNPQ-RSTUV"``."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


@dataclass(frozen=True, slots=True)
class FirstRun:
    """One start of a service that has no account yet."""

    identity: Identity
    #: Printed once, where only who runs the service reads it.
    code: str = field(default_factory=make_code, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def is_needed(self) -> bool:
        """Tell whether there is no account, and no provider that signs people in."""
        return self.identity.oidc is None and not self.identity.accounts.has_any()

    def make(self, code: str, attempt: Attempt, again: str) -> None:
        """Make the first administrator.

        Raises
        ------
        NotHeld
            If there is an account already.
        SignInRefused, TooManyTries
            If the code is wrong.
        WeakPassword, ConfigError
            If name or password cannot be used.
        """
        identity, now = self.identity, self.identity.now()
        with self._lock:
            if not self.is_needed():
                raise NotHeld("There is an account already.")
            identity.sign_in.throttle.check(attempt.address, now)
            if not hmac.compare_digest(_plain(code), _plain(self.code)):
                identity.sign_in.throttle.note(attempt.address, now)
                told = "The code of the first run was wrong."
                identity.record(trail.not_signed_in(trail.UNKNOWN, attempt.address, now, told))
                raise SignInRefused("The code is wrong: it stands where the service was started.")
            if attempt.password != again:
                raise WeakPassword("The password was not typed twice alike.")
            identity.people.add(attempt.name, Role.ADMINISTRATOR, attempt.password, now, by=_BY)


def _plain(code: str) -> bytes:
    return "".join(letter for letter in code.upper() if letter in _LETTERS).encode()
