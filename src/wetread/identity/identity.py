"""Everything about who is asking, as one value.

In: the store's accounts and tokens, settings.  Out: ``Identity``.  Never: a web request.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from wetread.errors import ConfigError, ProviderRefused, SignInRefused
from wetread.identity import trail
from wetread.identity.oidc import OpenIdConnect, Person, make_openid_connect
from wetread.identity.password import Passwords
from wetread.identity.people import People, check_name
from wetread.identity.principal import OPEN, Principal
from wetread.identity.roles import Role
from wetread.identity.sessions import Sessions, principal_of
from wetread.identity.settings import OidcSettings, SignInSettings
from wetread.identity.sign_in import Attempt, SignIn
from wetread.identity.throttle import Throttle
from wetread.identity.tokens import Tokens
from wetread.store import Store
from wetread.store.accounts import AccountRow, Accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a request says about who sent it."""

    #: Value of our cookie, ``""`` where none.
    cookie: str = ""
    #: What follows ``Authorization: Bearer``; None where the header is missing.
    bearer: str | None = None
    address: str = ""
    #: Whether a person did something, and not a page by itself.
    is_activity: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is asking."""

    accounts: Accounts
    people: People
    sign_in: SignIn
    sessions: Sessions
    tokens: Tokens
    #: None: people sign in by password only.
    oidc: OpenIdConnect | None
    record: trail.Record
    now: Callable[[], datetime]
    #: Others than this machine can reach us: doors are closed, account or not.
    is_exposed: bool = False
    #: Set once doors are closed: accounts are disabled, never deleted, so that stays.
    _is_closed: threading.Event = field(default_factory=threading.Event)

    def is_open(self) -> bool:
        """Tell whether nobody has to say who they are: this machine alone, no account, no provider."""
        if self.is_exposed:
            return False
        if not self._is_closed.is_set() and (self.oidc is not None or self.accounts.has_any()):
            self._is_closed.set()
        return not self._is_closed.is_set()

    def resolve(self, proof: Proof) -> Principal | None:
        """Return who sent a request, None where it must say so first."""
        if proof.bearer is not None:
            # A program that shows a token is that program or nobody, whatever else it has.
            return self.tokens.resolve(proof.bearer, proof.address, self.now())
        if proof.cookie:
            found = self.sessions.resolve(proof.cookie, self.now(), is_activity=proof.is_activity)
            if found is not None:
                return found
        return OPEN if self.is_open() else None

    def enter(self, attempt: Attempt, old_cookie: str) -> str:
        """Return the new cookie of somebody who signs in by password.

        Raises
        ------
        SignInRefused, TooManyTries
            If they do not get in.
        """
        account = self.sign_in.judge(attempt, self.now())
        return self.admit(account.id, account.name, attempt.address, old_cookie, "password")

    def enter_by_provider(self, person: Person, address: str, old_cookie: str) -> str:
        """Return the new cookie of somebody whom the provider named; their role is as it says today."""
        account = self._account_of(person)
        if not account.is_active:
            told = "The account is disabled."
            self.record(trail.not_signed_in(account.name, address, self.now(), told))
            raise SignInRefused("Your account here is disabled: ask an administrator.")
        return self.admit(account.id, account.name, address, old_cookie, "OpenID Connect")

    def prove_by_provider(self, who: Principal, person: Person, address: str) -> Principal:
        """Return somebody who is signed in and whom the provider named anew, as it has them today.

        Raises
        ------
        ProviderRefused
            If it named somebody else, or their account is disabled by now.
        """
        account = self.accounts.find_by_subject(person.subject)
        if account is None or account.id != who.account_id or not account.is_active:
            told = "OpenID Connect: somebody else than who is signed in proved who they are."
            self.record(trail.not_signed_in(who.name, address, self.now(), told))
            raise ProviderRefused("The provider named somebody else than who is signed in here.")
        return principal_of(self._account_of(person))

    def admit(self, account_id: int, name: str, address: str, old_cookie: str, how: str) -> str:
        """Return a new cookie in place of an old one."""
        cookie = self.sessions.open(account_id, self.now(), replaces=old_cookie)
        self.record(trail.signed_in(name, address, self.now(), how))
        return cookie

    def leave(self, principal: Principal, cookie: str, address: str) -> None:
        """End a session."""
        self.sessions.close(cookie)
        self.record(trail.signed_out(principal.name, address, self.now()))

    def has_passwords(self) -> bool:
        """Tell whether anybody signs in by password."""
        return any(one.is_active and one.password_hash for one in self.accounts.list_all())

    def has_administrator(self) -> bool:
        """Tell whether somebody can let others in: an active administrator, or a provider."""
        if self.oidc is not None:
            return True
        return any(one.is_active and one.role == Role.ADMINISTRATOR for one in self.accounts.list_all())

    def _account_of(self, person: Person) -> AccountRow:
        held = self.accounts.find_by_subject(person.subject)
        if held is None:
            return self.accounts.add(
                self._free_name(person),
                person.role.value,
                self.now(),
                display_name=person.display_name,
                sources=person.sources,
                subject=person.subject,
            )
        role, sources, called = person.role.value, person.sources, person.display_name
        self.accounts.set(held.id, role=role, sources=sources, display_name=called)
        return replace(held, role=role, sources=sources, display_name=called)

    def _free_name(self, person: Person) -> str:
        """Return a name that no local account has: the provider must not hand those out."""
        suffix = hashlib.sha256(person.subject.encode()).hexdigest()[:8]
        try:
            name = check_name(person.name)
        except ConfigError:
            return f"user-{suffix}"
        return name if self.accounts.find(name) is None else f"{name[:55]}-{suffix}"


def make_identity(
    store: Store,
    now: Callable[[], datetime],
    *,
    sign_in: SignInSettings | None = None,
    oidc: OidcSettings | None = None,
    record: trail.Record | None = None,
    is_exposed: bool = False,
) -> Identity:
    """Return who is asking, by the accounts and tokens of a store.

    Parameters
    ----------
    sign_in, oidc
        ``[web.sign_in]`` and ``[web.oidc]``.
    record
        Takes what the audit trail shall hold; None: nobody does (tests).
    is_exposed
        Whether others than this machine can reach us.

    Raises
    ------
    ConfigError
        If the provider's client secret is missing.
    """
    settings = sign_in or SignInSettings()
    passwords = Passwords()
    keep = record or _forget
    judge = SignIn(store.accounts, passwords, settings, Throttle(settings.address_limit), keep)
    return Identity(
        accounts=store.accounts,
        people=People(store.accounts, passwords, judge, keep),
        sign_in=judge,
        sessions=Sessions(store.accounts, settings),
        tokens=Tokens(store.tokens, keep),
        oidc=make_openid_connect(oidc) if oidc else None,
        record=keep,
        now=now,
        is_exposed=is_exposed,
    )


def _forget(_event: object) -> None:
    pass
