"""What ``[web.sign_in]`` and ``[web.oidc]`` say.

In: tables of the configuration.  Out: values, checked.  Never: a secret (see ``oidc``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wetread.errors import ConfigError
from wetread.identity.roles import Role
from wetread.network import is_loopback_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """``[web.sign_in]``: how long somebody stays signed in, and how often they may be wrong."""

    #: Signed out when nothing was done for this time.
    idle_timeout_s: float = 900.0
    #: Signed out in any case.
    session_limit_s: float = 43200.0
    #: Wrong passwords or codes until the account is locked.
    lock_after: int = 5
    #: How long, the first time; twice as long with each further failure, a day at most.
    lock_s: float = 900.0
    #: Failures from one address within a quarter of an hour until it is kept waiting.
    address_limit: int = 30

    def __post_init__(self) -> None:
        """Refuse what would lock everybody out or nobody."""
        for name, low, high in (
            ("idle_timeout_s", 60, 86400),
            ("session_limit_s", 300, 604800),
            ("lock_after", 3, 100),
            ("lock_s", 60, 86400),
            ("address_limit", 5, 10000),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"web.sign_in.{name} must lie between {low} and {high}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcRole:
    """``[[web.oidc.roles]]``: which role a group of the provider has here."""

    #: A value of the claim ``role_claim``.
    group: str
    role: Role
    #: Senders (AE titles) whose studies they may see; left out: all.
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """``[web.oidc]``: the provider that signs people in."""

    issuer: str
    client_id: str
    #: File that holds the client secret; left out: the environment variable WETREAD_OIDC_SECRET.
    secret_file: Path | None = None
    #: Claim of the ID token that lists somebody's groups.
    role_claim: str = "groups"
    #: The first that fits decides; nobody comes in without one.
    roles: tuple[OidcRole, ...] = ()
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    #: What the button says.
    title: str = "Single sign-on"
    #: Certificates that the provider's must go back to; left out: the system's.
    ca_file: Path | None = None
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot be safe."""
        check_provider_url(self.issuer)
        if not self.roles:
            raise ConfigError("web.oidc needs [[web.oidc.roles]]: without one nobody could sign in.")
        if "openid" not in self.scopes:
            raise ConfigError('web.oidc.scopes must hold "openid".')


def check_provider_url(url: str) -> None:
    """Refuse an address of a provider that is not HTTPS, except on this machine.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    parts = urlsplit(url)
    is_here = parts.scheme == "http" and is_loopback_name(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_here) or parts.username or parts.fragment:
        raise ConfigError("The addresses of an OpenID Connect provider must begin with https://.", url=url)
