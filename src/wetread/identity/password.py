"""Passwords: which ones are taken, how they are kept and compared.

In: passwords.  Out: argon2id in PHC form; yes or no.
Never: a comparison that takes less time for an unknown name; memory without a limit.

References
----------
RFC 9106 (Argon2); OWASP Password Storage Cheat Sheet (m=19 MiB, t=2, p=1); NIST SP 800-63B section 3.1.1
(length and a list of common ones instead of rules about signs).
"""

from __future__ import annotations

import importlib.resources
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wetread.errors import TooManyTries, WeakPassword

T = TypeVar("T")

#: Bytes of UTF-8.
SHORTEST, LONGEST = 12, 1024
#: Fewer different characters than this are a pattern, not a password.
_DIFFERENT = 5
#: Words that everybody tries first here.
_OWN_WORDS = ("wetread", "radiology", "administrator")


class Passwords:
    """Keeps and compares; so many at a time, so that log-ins never eat the machine.

    Parameters
    ----------
    parallel
        Comparisons at a time; each takes 19 MiB.
    waiting
        How many may wait for their turn; more are sent away.
    """

    def __init__(self, parallel: int = 2, waiting: int = 8) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        # Threads of their own: each keeps the memory of its last comparison, and a server has many threads.
        self._turns = ThreadPoolExecutor(parallel, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(parallel + waiting)
        # What an unknown name's password is compared with.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        """Return what to keep of a password."""
        return self._in_turn(partial(self._hasher.hash, _normal(password)))

    def verify(self, kept: str, password: str) -> bool:
        """Tell whether this is the password; ``kept`` may be ``""``: no password is right.

        Raises
        ------
        TooManyTries
            If too many wait already.
        """
        normal = _normal(password)
        if len(normal.encode()) > LONGEST:
            # Not ours, and too long to look at: as much work as for any other.
            normal = ""
        try:
            is_right = self._in_turn(partial(self._hasher.verify, kept or self._nobody, normal))
        except (VerificationError, InvalidHashError):
            return False
        return is_right and bool(kept)

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a kept password was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _in_turn(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise TooManyTries("Too many people sign in at this moment: try again in a few seconds.")
        try:
            return self._turns.submit(work).result()
        finally:
            self._places.release()


def check_new_password(password: str, name: str) -> None:
    """Refuse a password that would be found by trying.

    Raises
    ------
    WeakPassword
        If it is too short or long, common, or holds the account's name.
    """
    normal = _normal(password)
    size = len(normal.encode())
    if size < SHORTEST:
        raise WeakPassword(f"A password has at least {SHORTEST} characters: a few words in a row do well.")
    if size > LONGEST:
        raise WeakPassword(f"A password has at most {LONGEST} bytes.")
    folded = normal.casefold()
    if len(name) >= 3 and name.casefold() in folded:
        raise WeakPassword("A password must not hold the account's name.")
    if len(set(folded)) < _DIFFERENT or _is_common(folded):
        raise WeakPassword("This password is one of those that are tried first: choose another.")


def _is_common(folded: str) -> bool:
    common = _common()
    if folded in common:
        return True
    # "Radiology2026!" and "radio-logy" are "radiology", "passwordpassword" is "password".
    stems = {folded.strip("0123456789!?.,;:-_#*+@$&/ "), "".join(filter(str.isalpha, folded))} - {""}
    words = (*common, *_OWN_WORDS)
    if any(stem == word * (len(stem) // len(word)) for stem in stems for word in words):
        return True
    return any(sequence in row for row in _ROWS for sequence in (folded, folded[::-1]))


#: Runs along a keyboard, the alphabet and the digits.
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertyuiopasdfghjklzxcvbnm")
_ROWS = tuple(row * 8 for row in ("1234567890", "0123456789", "abcdefghijklmnopqrstuvwxyz", *_KEYBOARD))


@lru_cache(1)
def _common() -> frozenset[str]:
    text = (importlib.resources.files("wetread.identity") / "common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.split("\n") if line and not line.startswith("#"))


def _normal(password: str) -> str:
    # The same letters from another keyboard are the same password (NIST SP 800-63B 3.1.1.2).
    # What cannot be encoded is replaced, so that it is wrong and not a crash.
    return unicodedata.normalize("NFKC", password.encode("utf-8", "replace").decode())
