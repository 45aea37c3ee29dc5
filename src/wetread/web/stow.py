"""DICOMweb: STOW-RS under ``/dicom-web/studies``.

In: requests.  Out: what ``receive.stow`` says became of them.
Never: a body in memory; a sender that is waited for without end; a source that is not the caller's own.

References
----------
PS3.18 10.5 (Store).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from wetread.dicom.xml_model import encode_xml
from wetread.identity import Permission, Principal, PrincipalKind
from wetread.receive.stow import Stow
from wetread.receive.stow_answer import StowAnswer
from wetread.receive.stow_request import Handing, StowRefusal, StowRequest
from wetread.receive.trail import Sender
from wetread.share.accept import JSON, XML, MediaType, choose, read_accept
from wetread.web.access import Who, address_of, needs
from wetread.web.dicomweb import PREFIX, base_url
from wetread.web.site import Site

#: Parts have limits of their own; how many instances come in one request is the sender's business.
_NO_LIMIT = 1 << 62
#: What is handed to the disk at once.
_PIECE = 256 << 10
#: How often somebody who waits for a sender looks up.
_LOOK_S = 0.5
#: Slower than this (bytes/s), once the longest silence is over, is dawdling.
_SLOWEST = 4 << 10
_RETRY_AFTER_S = 10
#: Requests that write at the same time; pages have threads of their own.
_WRITERS = 8
_OFFERED = (MediaType(name=JSON), MediaType(name="application/json"), MediaType(name=XML))

Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
T = TypeVar("T")


def make_stow(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"])
    writers = anyio.CapacityLimiter(_WRITERS)

    async def store(request: Request, who: Principal, study: str) -> Response:
        if site.stow is None:
            raise HTTPException(404)
        chosen = choose(read_accept(request.headers.getlist("accept")), _OFFERED)
        desk = _Desk(request, site.stow, writers)
        try:
            answer = await desk.serve(_handing(request, who, study))
        except StowRefusal as refusal:
            return _refused(refusal)
        return _written(answer, chosen, request) if answer else Response(status_code=400)

    @router.post("/studies", max_body_size=_NO_LIMIT)
    @needs(Permission.SEND)
    async def store_any(request: Request, who: Who) -> Response:
        """Hand in instances (STOW-RS)."""
        return await store(request, who, "")

    @router.post("/studies/{study}", max_body_size=_NO_LIMIT)
    @needs(Permission.SEND)
    async def store_in_study(request: Request, who: Who, study: Uid) -> Response:
        """Hand in instances of one study (STOW-RS)."""
        return await store(request, who, study)

    return router


@dataclass(slots=True)
class _Desk:
    """Serves one request."""

    request: Request
    stow: Stow
    writers: anyio.CapacityLimiter
    _pending: bytearray = field(default_factory=bytearray)
    _waited_s: float = 0.0
    _silent_s: float = 0.0
    _size: int = 0

    async def serve(self, handing: Handing) -> StowAnswer | None:
        """Return the answer, None where nobody waits for it any more."""
        headers = self.request.headers
        kind, encoding = headers.get("content-type", ""), headers.get("content-encoding", "")
        one = await self._write(lambda: self.stow.open(handing, kind, encoding))
        try:
            if not await self._read_into(one):
                await self._write(one.break_off)
                return None
            return await self._write(one.finish)
        finally:
            # Also where this task is ended: nothing half may stay.
            with anyio.CancelScope(shield=True):
                await self._write(one.close)

    async def _read_into(self, one: StowRequest) -> bool:
        """Read the body as long as it is wanted; False where the sender hung up."""
        while one.wants_more:
            message = await self._next_message(one)
            if message is None:
                # The sender rests: what it has brought need not wait for it.
                await self._feed(one)
                continue
            self._pending += message.get("body", b"")
            is_last = not message.get("more_body", False)
            if is_last or len(self._pending) >= _PIECE:
                await self._feed(one)
            if message["type"] == "http.disconnect":
                return False
            if is_last:
                break
        return True

    async def _next_message(self, one: StowRequest) -> Any:
        """Return the next message, None after a while without one."""
        began_at = time.monotonic()
        message = None
        with anyio.move_on_after(_LOOK_S):
            message = await self.request.receive()
        waited_s = time.monotonic() - began_at
        self._waited_s += waited_s
        self._silent_s = 0.0 if message else self._silent_s + waited_s
        self._size += len(message.get("body", b"")) if message else 0
        longest_s = self.stow.options.network_timeout_s
        if self.stow.is_stopping:
            one.refuse(StowRefusal(503, "The service stops: send again what was not stored."))
        elif self._silent_s > longest_s or self._waited_s > longest_s + self._size / _SLOWEST:
            one.refuse(StowRefusal(408, "The body comes too slowly."))
        return message

    async def _feed(self, one: StowRequest) -> None:
        data, self._pending = bytes(self._pending), bytearray()
        if data:
            await self._write(lambda: one.feed(data))

    async def _write(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self.writers)


def _handing(request: Request, who: Principal, study: str) -> Handing:
    return Handing(
        sender=Sender(aet="", user=who.name, address=address_of(request)),
        source=_source_of(who),
        study_instance_uid=study,
        sources=who.sources,
    )


def _source_of(who: Principal) -> str:
    name = who.display_name if who.kind is PrincipalKind.TOKEN else "stow"
    if who.sources is None or name in who.sources:
        return name[:64]
    if not who.sources:
        raise HTTPException(403)
    return who.sources[0]


def _refused(refusal: StowRefusal) -> Response:
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if refusal.http_status == 503 else {}
    return JSONResponse({"error": refusal.message}, refusal.http_status, headers=headers)


def _written(answer: StowAnswer, chosen: MediaType, request: Request) -> Response:
    data_set = answer.data_set(base_url(request))
    if chosen.name == XML:
        return Response(encode_xml(data_set), answer.http_status, media_type=XML)
    return Response(orjson.dumps(data_set), answer.http_status, media_type=JSON)
