"""UPS-RS: who is told of workitems, and the WebSocket on which they hear it.

In: subscriptions; connections.  Out: event reports as DICOM JSON, each until it is sent.
Never: a report for somebody else; a connection that outlives a session.

References
----------
PS3.18 8.10.4 and 11.10 to 11.13; PS3.4 CC.2.3, CC.2.4.
"""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import orjson
from fastapi import APIRouter, Path, Request, Response, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from wetread.domain.workitem import FILTERED_UID, GLOBAL_UID, Refusal, WorkitemRefused, element
from wetread.identity import Permission, Principal
from wetread.share.workitem_query import add_key, read_filter
from wetread.store.subscriptions import Channel, DueReport, Subscription
from wetread.web.access import Who, needs, proof_of
from wetread.web.dicomweb import PREFIX, base_url
from wetread.web.live import WELCOME_S
from wetread.web.site import Site
from wetread.web.workitems import READS, Uid, asker_of, done, refused

Aet = Annotated[
    str, Path(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")
]
_UPS_EVENT = "1.2.840.10008.5.1.4.34.6.4"
_WELL_KNOWN = (GLOBAL_UID, FILTERED_UID)
#: While a connection sends a report, no other does, in s.
_LEASE_S = 30.0
_POLICY = 1008


def make_subscribers(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"])
    _add_subscriptions(router, site)
    for path in ("/subscribers/{aet}", "/ws/subscribers/{aet}"):
        router.add_api_websocket_route(path, _channel(site))
    return router


def _add_subscriptions(router: APIRouter, site: Site) -> None:
    place = "/workitems/{uid}/subscribers/{aet}"

    @router.post(place)
    @READS
    def subscribe(request: Request, who: Who, uid: Uid, aet: Aet) -> Response:
        """Have somebody told of a workitem, or of all (UPS-RS)."""
        try:
            _check_owner(site, who, aet)
            one = _read_subscription(request, who, uid, aet)
            warning = site.worklist.subscribe(asker_of(request, who), one)
        except WorkitemRefused as error:
            return refused(error)
        address = f"{base_url(request).replace('http', 'ws', 1)}/subscribers/{aet}"
        return done(201, warning, **{"Content-Location": address})

    @router.delete(place)
    @READS
    def unsubscribe(request: Request, who: Who, uid: Uid, aet: Aet) -> Response:
        """Have somebody told no more (UPS-RS)."""
        try:
            _check_owner(site, who, aet)
            site.worklist.unsubscribe(asker_of(request, who), aet, Channel.WEB, uid)
        except WorkitemRefused as error:
            return refused(error)
        return done(200, None)

    @router.post(f"{place}/suspend")
    @READS
    def suspend(request: Request, who: Who, uid: Uid, aet: Aet) -> Response:
        """Have somebody told of no new workitems any more (UPS-RS)."""
        try:
            _check_owner(site, who, aet)
            site.worklist.suspend(asker_of(request, who), aet, Channel.WEB, uid)
        except WorkitemRefused as error:
            return refused(error)
        return done(200, None)


def _read_subscription(request: Request, who: Principal, uid: str, aet: str) -> Subscription:
    keys: dict[str, Any] = {}
    lock = request.query_params.get("deletionlock", "false")
    if lock not in ("true", "false"):
        raise WorkitemRefused(Refusal.INVALID_VALUE, "deletionlock is true or false.")
    for name, value in request.query_params.multi_items():
        if name == "filter":
            keys |= read_filter(value)
        elif name != "deletionlock":
            add_key(keys, name, value)
    if keys and uid != FILTERED_UID:
        raise WorkitemRefused(Refusal.INVALID_VALUE, f"Keys belong to a subscription to {FILTERED_UID}.")
    return Subscription(
        aet=aet,
        channel=Channel.WEB,
        workitem_uid=uid,
        owner=who.name,
        sources=who.sources,
        has_lock=lock == "true",
        keys=keys or None,
    )


def _check_owner(site: Site, who: Principal, aet: str) -> None:
    """Refuse a title under which somebody else is told: they would see each other's workitems."""
    if site.store.subscriptions.find_owner(aet, Channel.WEB) not in ("", who.name[:64]):
        raise WorkitemRefused(
            Refusal.NOT_AUTHORIZED, "Somebody else is told under this AE title: take another."
        )


def _channel(site: Site) -> Any:
    @needs(Permission.STUDIES, Permission.IDENTITY, is_background=True)
    async def channel(socket: WebSocket, who: Who, aet: Aet) -> None:
        """Tell a subscriber what happens, until they hang up, sign out or we stop."""
        await socket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(_await_end, socket, group.cancel_scope)
            await _tell(site, socket, who, aet)
            group.cancel_scope.cancel()

    return channel


async def _await_end(socket: WebSocket, scope: anyio.CancelScope) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            scope.cancel()
            return


async def _tell(site: Site, socket: WebSocket, who: Principal, aet: str) -> None:
    def is_welcome() -> bool:
        if site.identity.resolve(proof_of(socket, is_background=True)) != who:
            return False
        return site.store.subscriptions.find_owner(aet, Channel.WEB) in ("", who.name[:64])

    unasked_s = WELCOME_S
    try:
        while not site.pulse.is_stopped:
            if unasked_s >= WELCOME_S:
                unasked_s = 0.0
                if not await run_in_threadpool(is_welcome):
                    await socket.close(_POLICY)
                    return
            await _tell_due(site, socket, aet)
            await anyio.sleep(site.pulse.every_s)
            unasked_s += site.pulse.every_s
        await socket.close(1001)
    except (WebSocketDisconnect, RuntimeError):
        # They hung up in the middle: what was not sent waits for them.
        return


async def _tell_due(site: Site, socket: WebSocket, aet: str) -> None:
    subscriptions = site.store.subscriptions
    for report in await run_in_threadpool(subscriptions.list_due, Channel.WEB, aet):
        now = site.now().timestamp()
        if await run_in_threadpool(subscriptions.take, report.id, now, now + _LEASE_S):
            await socket.send_text(orjson.dumps(_message(report)).decode())
            await run_in_threadpool(subscriptions.end, [report.id])


def _message(report: DueReport) -> dict[str, Any]:
    head = {
        "00000002": element("UI", _UPS_EVENT),
        "00000110": element("US", report.id & 0xFFFF),
        "00001000": element("UI", report.workitem_uid),
        "00001002": element("US", int(report.type)),
    }
    return head | dict(report.attributes)
