"""Who asks.

In: an account, a token, or nothing where all doors are open.
Out: ``Principal``, asked before anything is shown.  Never: a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from wetread.identity.roles import PERMISSIONS, Permission, Role


class PrincipalKind(StrEnum):
    """How somebody proved who they are."""

    #: Nobody has to, on this machine, until there is an account.
    OPEN = "open"
    LOCAL = "local"
    OIDC = "oidc"
    TOKEN = "token"  # noqa: S105 - a word, not a secret


class Obligation(StrEnum):
    """What an account must do before it may do anything else."""

    CHANGE_PASSWORD = "change-password"  # noqa: S105 - a word, not a secret
    SET_UP_TOTP = "set-up-totp"


class HasSource(Protocol):
    """A study, as far as it matters here."""

    @property
    def source(self) -> str:
        """Who handed it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, and what they may."""

    #: Account name or ``token NAME``: what the audit trail says.
    name: str
    kind: PrincipalKind
    #: None only where all doors are open.
    role: Role | None = None
    #: Senders (AE titles) whose studies they may see; None: all.
    sources: tuple[str, ...] | None = None
    account_id: int | None = None
    display_name: str = ""
    obligation: Obligation | None = None

    def may(self, permission: Permission) -> bool:
        """Tell whether they may do this kind of thing at all."""
        if self.kind is PrincipalKind.OPEN:
            return True
        if self.kind is PrincipalKind.TOKEN and permission is Permission.PAGES:
            return False
        return self.role is not None and permission in PERMISSIONS[self.role]

    def may_see(self, study: HasSource) -> bool:
        """Tell whether they may see this study."""
        return self.sources is None or study.source in self.sources


#: Everybody, on loopback, until there is an account.
OPEN = Principal(name="anybody", kind=PrincipalKind.OPEN)
