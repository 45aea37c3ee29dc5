"""Sign in by OpenID Connect: authorization code flow with PKCE, state and nonce.

In: what the provider sent back with the browser.  Out: who it is and which role they have here.
Never: a token that was not signed by the provider for us, now and for this very try; a user without a role;
an answer that counts twice; a sign-in of before where it is to be proven anew.

References
----------
OpenID Connect Core 1.0 sections 3.1.2.1 (prompt, max_age), 3.1.3.7 (ID token validation) and 2 (auth_time);
RFC 7636 (PKCE); RFC 9207 (issuer in the answer); RFC 9700 (security best current practice).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from wetread.errors import ConfigError, ProviderRefused
from wetread.identity.provider import Provider
from wetread.identity.roles import Role
from wetread.identity.settings import OidcSettings

SECRET_VARIABLE = "WETREAD_OIDC_SECRET"  # noqa: S105 - where it is, not what it is
#: How long somebody may take at the provider.
PENDING_S = 600
#: How long somebody may take there who proves anew that it is them.
ANEW_S = 300
#: What ``state`` begins with then.
ANEW = "anew."
#: The provider tells times in whole seconds, and its machine takes one to answer.
_ROUNDED_S = 5.0
#: Signatures by keys that only the provider has: never "none", never HMAC.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
#: How far clocks may be apart.
_LEEWAY_S = 60
#: An ID token is asked for and used at once.
_OLDEST_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A sign-in that has begun."""

    #: Where the browser goes.
    url: str
    #: What the browser keeps for the way back (a cookie): signed, and of no use without it.
    pending: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom the provider named."""

    #: ``"issuer subject"``: the only thing about somebody that never changes.
    subject: str
    #: What they are called there.
    name: str
    display_name: str
    role: Role
    sources: tuple[str, ...] | None
    #: Where they wanted to go.
    wanted: str


class OpenIdConnect:
    """Sends people to the provider and judges what comes back.

    Parameters
    ----------
    secret
        The client secret.
    """

    def __init__(self, settings: OidcSettings, secret: str) -> None:
        self.settings = settings
        self._provider = Provider(settings, secret)
        # Lost at a restart: whoever is at the provider then begins anew.
        self._pending = URLSafeTimedSerializer(secrets.token_bytes(32), salt="oidc")
        self._spent = _Spent()

    def begin(self, redirect_uri: str, wanted: str, *, is_anew: bool = False) -> Started:
        """Begin a sign-in.

        Parameters
        ----------
        wanted
            What ``finish`` gives back.
        is_anew
            Have somebody who is signed in prove that it is them, now.

        Raises
        ------
        ProviderRefused
            If the provider does not answer.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        state = ANEW + state if is_anew else state
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if is_anew else {}),
        }
        url = self._provider.endpoints().authorization
        kept = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "redirect_uri": redirect_uri,
            "wanted": wanted,
            "is_anew": is_anew,
            # Only this process can read it: its own clock, which nobody sets.
            "begun_s": time.monotonic(),
        }
        joined = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
        return Started(url=joined, pending=str(self._pending.dumps(kept)))

    def finish(
        self, pending: str, answer: Mapping[str, str], now: datetime, *, is_anew: bool = False
    ) -> Person:
        """Return who signed in.

        Parameters
        ----------
        pending
            What the browser kept.
        answer
            The query that the provider sent it back with.
        is_anew
            As it was begun. They signed in since then, whatever the provider remembers of them.

        Raises
        ------
        ProviderRefused
            If anything does not fit.
        """
        kept = self._read_pending(pending, is_anew=is_anew)
        if not hmac.compare_digest(kept["state"].encode(), answer.get("state", "").encode()):
            raise ProviderRefused("This answer belongs to another sign-in: begin anew.")
        if not self._spent.spend(kept["state"]):
            raise ProviderRefused("This answer was used already: begin anew.")
        if answer.get("iss", self.settings.issuer) != self.settings.issuer:
            raise ProviderRefused("This answer is of another provider.")
        if "code" not in answer:
            raise ProviderRefused("The provider did not let you in.")
        token = self._provider.exchange(answer["code"], kept["verifier"], kept["redirect_uri"])
        claims = self._read_token(token, kept["nonce"], now)
        if is_anew and not _is_fresh(claims, time.monotonic() - kept["begun_s"]):
            raise ProviderRefused("The provider did not ask you to sign in anew.")
        return self._person(claims, kept["wanted"])

    def _read_pending(self, pending: str, *, is_anew: bool) -> dict[str, Any]:
        refused = ProviderRefused("This sign-in was begun elsewhere or too long ago: begin anew.")
        try:
            kept: dict[str, Any] = self._pending.loads(pending, max_age=PENDING_S)
        except BadSignature as error:
            raise refused from error
        limit_s = ANEW_S if is_anew else PENDING_S
        if kept["is_anew"] is not is_anew or time.monotonic() - kept["begun_s"] > limit_s:
            raise refused
        return kept

    def _read_token(self, token: str, nonce: str, now: datetime) -> dict[str, Any]:
        try:
            claims = self._verify(token)
        except (JoseError, ValueError, RecursionError) as error:
            raise ProviderRefused(
                "The ID token is not signed by the provider.", reason=type(error).__name__
            ) from error
        why = self._why_not(claims, nonce, int(now.timestamp()))
        if why:
            raise ProviderRefused(f"The ID token is not valid: {why}.")
        return claims

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._provider.keys(), algorithms=_ALGORITHMS).claims
        except InvalidKeyIdError:
            # The provider has changed its keys since we asked.
            return jwt.decode(token, self._provider.keys(is_stale=True), algorithms=_ALGORITHMS).claims

    def _why_not(self, claims: Mapping[str, Any], nonce: str, at: int) -> str:
        """Return what is wrong with an ID token (Core 3.1.3.7), ``""`` where nothing is."""
        client = self.settings.client_id
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        told = str(claims.get("nonce", ""))
        checks = {
            "another issuer": claims.get("iss") == self.settings.issuer,
            "another audience": client in audiences,
            "another authorized party": claims.get("azp", client) == client
            and (len(audiences) == 1 or "azp" in claims),
            "expired": _is_time(claims.get("exp")) and at < claims["exp"] + _LEEWAY_S,
            "issued at another time": _is_time(claims.get("iat"))
            and at - _OLDEST_S - _LEEWAY_S < claims["iat"] <= at + _LEEWAY_S,
            "not valid yet": "nbf" not in claims
            or (_is_time(claims["nbf"]) and claims["nbf"] <= at + _LEEWAY_S),
            "of another sign-in": hmac.compare_digest(told.encode(), nonce.encode()),
            "no subject": isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255,
        }
        return next((what for what, is_right in checks.items() if not is_right), "")

    def _person(self, claims: Mapping[str, Any], wanted: str) -> Person:
        groups = claims.get(self.settings.role_claim)
        held = groups if isinstance(groups, list) else [groups]
        fit = next((one for one in self.settings.roles if one.group in held), None)
        if fit is None:
            raise ProviderRefused("You are known, but have no role here: ask an administrator.")
        called = claims.get("preferred_username") or claims.get("email") or claims["sub"]
        return Person(
            subject=f"{self.settings.issuer} {claims['sub']}",
            name=str(called),
            display_name=str(claims.get("name") or called)[:128],
            role=fit.role,
            sources=fit.sources,
            wanted=wanted,
        )


class _Spent:
    """Answers that were looked at: each is looked at once.

    Others than this process cannot read what belongs to them, so it is enough to remember them here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until_s: dict[str, float] = {}

    def spend(self, state: str) -> bool:
        """Return whether this is the first time."""
        now_s = time.monotonic()
        with self._lock:
            self._until_s = {one: until_s for one, until_s in self._until_s.items() if until_s > now_s}
            is_first = state not in self._until_s
            self._until_s[state] = now_s + PENDING_S
        return is_first


def _is_fresh(claims: Mapping[str, Any], waited_s: float) -> bool:
    """Tell whether somebody signed in since we sent them (``auth_time``); both times are the provider's."""
    told = claims.get("auth_time")
    return _is_time(told) and -_ROUNDED_S <= claims["iat"] - told <= waited_s + _ROUNDED_S


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def make_openid_connect(settings: OidcSettings) -> OpenIdConnect:
    """Return the sign-in for a provider, with its client secret.

    Raises
    ------
    ConfigError
        If there is no secret, or its file can be read by others.
    """
    if settings.secret_file is None:
        secret = os.environ.get(SECRET_VARIABLE, "")
        if not secret:
            raise ConfigError(f"Give the client secret in web.oidc.secret_file or in {SECRET_VARIABLE}.")
        return OpenIdConnect(settings, secret)
    try:
        mode = settings.secret_file.stat().st_mode
        secret = settings.secret_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("web.oidc.secret_file cannot be read.", path=settings.secret_file) from error
    if mode & 0o077:
        raise ConfigError(
            "web.oidc.secret_file can be read by others: chmod 600 it.", path=settings.secret_file
        )
    if not secret:
        raise ConfigError("web.oidc.secret_file is empty.", path=settings.secret_file)
    return OpenIdConnect(settings, secret)
