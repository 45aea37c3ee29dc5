"""Who is asking, and what they may do: accounts, sessions, tokens, OpenID Connect, roles.

In: names, passwords, cookies, tokens.  Out: a ``Principal`` or a refusal, each in the audit trail.
Never: a password, cookie, token or code kept, logged or shown; a default password.
"""

from wetread.identity.identity import Identity, make_identity
from wetread.identity.principal import OPEN, Principal, PrincipalKind
from wetread.identity.roles import Permission, Role

__all__ = ["OPEN", "Identity", "Permission", "Principal", "PrincipalKind", "Role", "make_identity"]
