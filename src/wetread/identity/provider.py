"""An OpenID Connect provider, as we talk to it.

In: its settings; codes.  Out: its addresses, keys, ID tokens.
Never: an answer over plain HTTP, without a limit of time and size, or from another issuer.

References
----------
OpenID Connect Discovery 1.0 section 4; RFC 6749 section 2.3.1 and 4.1.3; RFC 7636 (PKCE).
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from wetread.errors import ConfigError, ProviderRefused
from wetread.identity.settings import OidcSettings, check_provider_url

#: What a provider tells of itself is a few kilobytes.
_LARGEST_ANSWER = 1 << 20
_FRESH_S = 3600.0
#: A token with an unknown key makes us ask for the keys anew, but not more often than this.
_ASK_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses of a provider."""

    authorization: str
    token: str
    keys: str


class Provider:
    """Asks the provider, and remembers what it said for an hour.

    Parameters
    ----------
    secret
        The client secret.
    """

    def __init__(self, settings: OidcSettings, secret: str) -> None:
        self._settings = settings
        self._secret = secret
        self._lock = threading.Lock()
        self._endpoints: Endpoints | None = None
        self._endpoints_at = float("-inf")
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")

    def endpoints(self) -> Endpoints:
        """Return the provider's addresses.

        Raises
        ------
        ProviderRefused
            If it does not answer, or answers for somebody else.
        """
        with self._lock:
            if self._endpoints is None or time.monotonic() - self._endpoints_at > _FRESH_S:
                url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                told = self._ask("GET", url)
                if told.get("issuer") != self._settings.issuer:
                    raise ProviderRefused("The provider says that it is another one: check web.oidc.issuer.")
                self._endpoints = _read_endpoints(told)
                self._endpoints_at = time.monotonic()
            return self._endpoints

    def keys(self, *, is_stale: bool = False) -> KeySet:
        """Return the keys that the provider signs with.

        Parameters
        ----------
        is_stale
            A key was missing: ask again, unless we just did.
        """
        url = self.endpoints().keys
        with self._lock:
            longest_s = _ASK_AGAIN_S if is_stale else _FRESH_S
            if self._keys is None or time.monotonic() - self._keys_at > longest_s:
                try:
                    self._keys = KeySet.import_key_set(self._ask("GET", url))  # type: ignore[arg-type]
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise ProviderRefused("The provider's keys cannot be read.") from error
                self._keys_at = time.monotonic()
            return self._keys

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Return the ID token for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        # RFC 6749 2.3.1: both parts are form-encoded before they are joined.
        basic = httpx.BasicAuth(quote(self._settings.client_id, safe=""), quote(self._secret, safe=""))
        told = self._ask("POST", self.endpoints().token, data=form, auth=basic)
        token = told.get("id_token")
        if not isinstance(token, str):
            raise ProviderRefused("The provider sent no ID token.")
        return token

    def _ask(self, method: str, url: str, **more: Any) -> Mapping[str, Any]:
        check_provider_url(url)
        context = _trust(self._settings)
        timeout = httpx.Timeout(self._settings.timeout_s)
        try:
            with (
                # Nothing of the environment: neither a proxy nor a .netrc takes part.
                httpx.Client(verify=context, timeout=timeout, trust_env=False) as client,
                client.stream(method, url, headers={"Accept": "application/json"}, **more) as answer,
            ):
                body = _read_body(answer)
                if answer.status_code != 200:
                    raise ProviderRefused("The provider refused.", status=answer.status_code)
                told = httpx.Response(200, content=body).json()
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise ProviderRefused(
                "The provider does not answer as it should: try again, or ask an administrator.",
                reason=type(error).__name__,
            ) from error
        if not isinstance(told, dict):
            raise ProviderRefused("The provider's answer is no JSON object.")
        return told


def _read_body(answer: httpx.Response) -> bytes:
    body = b""
    for part in answer.iter_bytes():
        body += part
        if len(body) > _LARGEST_ANSWER:
            raise ProviderRefused("The provider's answer is too large.")
    return body


def _read_endpoints(told: Mapping[str, Any]) -> Endpoints:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    urls = [told.get(name) for name in names]
    if not all(isinstance(url, str) for url in urls):
        raise ProviderRefused("The provider does not name its addresses.")
    try:
        for url in urls:
            check_provider_url(str(url))
    except ConfigError as error:
        raise ProviderRefused("The provider names addresses that are not safe.") from error
    return Endpoints(authorization=str(urls[0]), token=str(urls[1]), keys=str(urls[2]))


def _trust(settings: OidcSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError as error:
        raise ConfigError("web.oidc.ca_file cannot be read.", path=settings.ca_file) from error
