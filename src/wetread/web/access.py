"""Who may call what: every route says which permissions it asks for, and one that says nothing is closed.

In: requests.  Out: the ``Principal`` that a route gets, or a refusal.  Never: an open door by omission.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from wetread.identity import Identity, Permission, Principal, trail
from wetread.identity.identity import Proof

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

#: Sent by a page that asks by itself, when somebody used the keyboard or the mouse since.
ACTIVE_HEADER = "x-wetread-active"
_MARK = "__wetread_needs__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a route asks of who calls it."""

    permissions: frozenset[Permission]
    #: Anybody may, without saying who they are.
    is_public: bool = False
    #: A page asks for it by itself: it keeps nobody signed in.
    is_background: bool = False
    #: Open to somebody who must choose a password or set up a second factor first.
    is_for_newcomers: bool = False


class SignInNeeded(Exception):
    """The caller must say who they are."""


class DutyFirst(Exception):
    """The caller must choose a password or set up a second factor first."""


def needs(
    *permissions: Permission, is_background: bool = False, is_for_newcomers: bool = False
) -> Callable[[Endpoint], Endpoint]:
    """Declare what a route asks for: all of these."""
    if not permissions:
        raise ValueError("A route without permissions is `public`.")
    return _mark(
        Needs(
            permissions=frozenset(permissions),
            is_background=is_background,
            is_for_newcomers=is_for_newcomers,
        )
    )


def public(endpoint: Endpoint) -> Endpoint:
    """Declare that anybody may call a route."""
    return _mark(Needs(permissions=frozenset(), is_public=True))(endpoint)


def read_needs(endpoint: object) -> Needs | None:
    """Return what a route's function declares, None where it declares nothing."""
    return getattr(endpoint, _MARK, None)


def _mark(declared: Needs) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _MARK, declared)
        return endpoint

    return mark


@dataclass(frozen=True, slots=True, eq=False)
class Doorkeeper:
    """Asked before every route: a dependency of the whole application."""

    identity: Identity

    async def __call__(self, request: HTTPConnection) -> None:
        """Let the call pass, as ``admit``."""
        declared = read_needs(request.scope.get("endpoint"))
        if declared is None or not declared.is_public:
            await run_in_threadpool(self.admit, request)

    def admit(self, request: HTTPConnection) -> None:
        """Let the call pass, with who it is in ``request.state.principal``.

        Raises
        ------
        SignInNeeded, DutyFirst, HTTPException
            If it may not pass.
        """
        declared = read_needs(request.scope.get("endpoint"))
        if declared is None:
            raise HTTPException(403)
        if declared.is_public:
            return
        principal = self._resolve(request, declared)
        if principal is None:
            raise SignInNeeded
        request.state.principal = principal
        if principal.obligation is not None and not declared.is_for_newcomers:
            raise DutyFirst
        missing = [one for one in sorted(declared.permissions) if not principal.may(one)]
        if missing:
            what = f"May not {missing[0].value}: {_method(request)} {request.scope['route'].path}"
            self.note_refusal(principal, request, what)
            raise HTTPException(403)

    def note_refusal(self, principal: Principal, request: HTTPConnection, what: str) -> None:
        """Write down that somebody asked for what they may not."""
        event = trail.refused(principal.name, address_of(request), self.identity.now(), what)
        self.identity.record(event)

    def _resolve(self, request: HTTPConnection, declared: Needs) -> Principal | None:
        return self.identity.resolve(proof_of(request, is_background=declared.is_background))


def _method(request: HTTPConnection) -> str:
    # A WebSocket has none.
    return str(request.scope.get("method", "WEBSOCKET"))


def proof_of(request: HTTPConnection, *, is_background: bool) -> Proof:
    """Return what a request says about who sent it; never from its address, which lands in logs."""
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    # Any other kind of credentials is one that we do not know: the same as a wrong token.
    bearer = credentials.strip() if kind.lower() == "bearer" else "" if kind else None
    by_itself = is_background and request.headers.get(ACTIVE_HEADER) != "1"
    return Proof(
        cookie=request.cookies.get(cookie_name(request), ""),
        bearer=bearer,
        address=address_of(request),
        is_activity=not by_itself and request.query_params.get("auto") != "1",
    )


def cookie_name(request: HTTPConnection) -> str:
    """Return what our cookie is called: under TLS no other host or page can set one of this name."""
    return "__Host-wetread" if request.url.scheme in ("https", "wss") else "wetread"


def address_of(request: HTTPConnection) -> str:
    """Return where a request comes from, ``""`` where unknown."""
    return request.client.host if request.client else ""


# Asynchronous, though it waits for nothing: FastAPI would give it a thread.
async def _get_principal(request: HTTPConnection) -> Principal:
    principal: Principal = request.state.principal
    return principal


#: Who calls: a parameter of a route.
Who = Annotated[Principal, Depends(_get_principal)]
