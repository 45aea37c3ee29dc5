"""Have whoever does something grave prove that it is them, now.

In: the password typed anew.  Out: nothing, or a refusal.  Never: a session that is enough by itself.
"""

from __future__ import annotations

from wetread.errors import NotNow
from wetread.identity import PrincipalKind
from wetread.identity.sign_in import Attempt
from wetread.web.eyes import Eyes


def prove(eyes: Eyes, password: str, code: str, why: str) -> None:
    """Return if password and code are those of who asks; wrong ones count as at the sign-in.

    Parameters
    ----------
    why
        What is said to whom has no password here.

    Raises
    ------
    AccessError
        If they are not, or cannot be: without an account with a password there is no proof.
    """
    who, identity = eyes.principal, eyes.site.identity
    if who.kind is not PrincipalKind.LOCAL:
        raise NotNow(why)
    attempt = Attempt(name=who.name, password=password, code=code, address=eyes.visitor.address)
    identity.sign_in.judge(attempt, identity.now())
