"""Codes of an authenticator app.

In: a secret and a code.  Out: the time step that it is for.  Never: one code twice.

References
----------
RFC 6238 (TOTP), section 5.2: a code must not be taken twice.
"""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp

STEP_S = 30
#: Steps that a clock may be off, on either side.
_WINDOW = 1


def new_secret() -> str:
    """Return a new secret: 160 bits, base32."""
    return pyotp.random_base32(32)


def secret_uri(secret: str, name: str) -> str:
    """Return what an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=name, issuer_name="Wetread")


def match_step(secret: str, code: str, last_step: int, now: datetime) -> int | None:
    """Return the time step whose code this is, None where it is wrong or was used already.

    Parameters
    ----------
    last_step
        The newest step that a code was taken for: it and all before it are used up.
    """
    digits = "".join(code.split())
    totp = pyotp.TOTP(secret, interval=STEP_S)
    here = int(now.timestamp()) // STEP_S
    found = None
    for step in range(here - _WINDOW, here + _WINDOW + 1):
        is_right = hmac.compare_digest(totp.generate_otp(step).encode(), digits.encode("utf-8", "replace"))
        if is_right and step > last_step:
            found = step
    return found
