"""UPS-RS: the worklist under ``/dicom-web/workitems``.

In: requests.  Out: what ``share.workitems`` says to them.
Never: a Transaction UID handed out; a body larger than a workitem; a workitem of others for whom it is not.

References
----------
PS3.18 section 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydicom.uid import generate_uid
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from wetread.dicom.header import is_uid
from wetread.dicom.xml_model import encode_xml
from wetread.domain import workitem as w
from wetread.domain.workitem import TOLD, Attributes, Refusal, Warned, WorkitemRefused, text_of
from wetread.identity import Permission, Principal, PrincipalKind
from wetread.share.accept import JSON, XML, MediaType, choose, read_accept
from wetread.share.multipart import Multipart, Part
from wetread.share.workitem_model import LARGEST, read_body
from wetread.share.workitem_query import answer, read_search
from wetread.share.workitems import Asker
from wetread.web.access import Who, address_of, needs
from wetread.web.dicomweb import PREFIX, base_url
from wetread.web.site import Site

T = TypeVar("T")
Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]

_OFFERED = (MediaType(name=JSON), MediaType(name="application/json"), MediaType(name=XML))
_OFFERED_LIST = (*_OFFERED[:2], MediaType(name=XML, is_multipart=True))
#: Workitems name the patient.
READS = needs(Permission.STUDIES, Permission.IDENTITY)
_ORDERS = needs(Permission.STUDIES, Permission.IDENTITY, Permission.ORDER)
#: PS3.18 11.4.3 to 11.8.3; what is not named is 409: it does not fit the state of the workitem.
_STATUS = {
    **dict.fromkeys(
        (Refusal.INVALID_VALUE, Refusal.MISSING, Refusal.EMPTY, Refusal.NOT_CREATED_SCHEDULED), 400
    ),
    **dict.fromkeys(
        (Refusal.ONLY_CREATED_SCHEDULED, Refusal.NOT_APPROPRIATE, Refusal.WRONG_TRANSACTION), 400
    ),
    **{Refusal.UNKNOWN: 404, Refusal.UNKNOWN_AE: 404, Refusal.NOT_AUTHORIZED: 403},
}


def make_workitems(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=f"{PREFIX}/workitems", tags=["DICOMweb"])
    _add_reading(router, site)
    _add_changes(router, site)
    return router


def asker_of(connection: HTTPConnection, who: Principal) -> Asker:
    """Return who asks, as the worklist knows them."""
    name = who.display_name if who.kind is PrincipalKind.TOKEN else "web"
    source = name if who.sources is None or name in who.sources else next(iter(who.sources), "")
    return Asker(name=who.name, address=address_of(connection), source=source[:64], sources=who.sources)


def refused(error: WorkitemRefused) -> Response:
    """Return the answer to what is not done."""
    status = 410 if error.is_gone else _STATUS.get(error.refusal, 409)
    return JSONResponse({"error": error.message}, status, headers=_warning(error.message))


def done(status: int, warning: Warned | None, **headers: str) -> Response:
    """Return the answer to what is done."""
    return Response(status_code=status, headers=headers | (_warning(TOLD[warning]) if warning else {}))


def _warning(text: str) -> dict[str, str]:
    return {"Warning": f'299 wetread: "{text}"'}


def _add_reading(router: APIRouter, site: Site) -> None:
    @router.get("")
    @READS
    def search(request: Request, who: Who) -> Response:
        """Search the worklist (UPS-RS)."""
        chosen = choose(_accepted(request), _OFFERED_LIST)
        parameters = [pair for pair in request.query_params.multi_items() if pair[0] != "accept"]
        try:
            asked = read_search(parameters)
            keys, limit = asked.keys, asked.limit
            found = site.worklist.search(asker_of(request, who), keys, limit + 1, asked.offset)
        except WorkitemRefused as error:
            return refused(error)
        told = _warning("There are additional results that can be requested") if len(found) > limit else {}
        if asked.is_fuzzy:
            told = _warning(
                "The fuzzymatching parameter is not supported. Only literal matching was performed."
            )
        answers = [answer(one.attributes, asked) for one in found[:limit]]
        if not answers:
            return Response(status_code=204, headers=told)
        return _written_list(answers, chosen, told)

    @router.get("/{uid}")
    @READS
    def retrieve(request: Request, who: Who, uid: Uid) -> Response:
        """Retrieve a workitem (UPS-RS)."""
        chosen = choose(_accepted(request), _OFFERED)
        try:
            held = site.worklist.retrieve(asker_of(request, who), uid)
        except WorkitemRefused as error:
            return refused(error)
        if chosen.name == XML:
            return Response(encode_xml(held.attributes), media_type=XML)
        return Response(orjson.dumps([held.attributes]), media_type=JSON)


def _add_changes(router: APIRouter, site: Site) -> None:
    @router.post("", max_body_size=LARGEST)
    @_ORDERS
    async def create(request: Request, who: Who) -> Response:
        """Create a workitem (UPS-RS)."""

        def make(body: Attributes) -> Response:
            named = _bare_uid(request, "workitem", "AffectedSOPInstanceUID", "uid")
            uid = named or text_of(body, w.SOP_INSTANCE_UID) or generate_uid()
            change = site.worklist.create(asker_of(request, who), uid, body)
            place = f"{base_url(request)}/workitems/{uid}"
            return done(201, change.warning, Location=place, **{"Content-Location": place})

        return await _with_body(request, make)

    @router.post("/{uid}", max_body_size=LARGEST)
    @_ORDERS
    async def update(request: Request, who: Who, uid: Uid) -> Response:
        """Update a workitem (UPS-RS)."""

        def change(body: Attributes) -> Response:
            key = _bare_uid(request, "transaction-uid", "transaction") or text_of(body, w.TRANSACTION_UID)
            return done(200, site.worklist.update(asker_of(request, who), uid, body, key).warning)

        return await _with_body(request, change)

    @router.put("/{uid}/state", max_body_size=LARGEST)
    @_ORDERS
    async def change_state(request: Request, who: Who, uid: Uid) -> Response:
        """Take or end a workitem (UPS-RS)."""

        def change(body: Attributes) -> Response:
            state, key = text_of(body, w.STATE), text_of(body, w.TRANSACTION_UID)
            return done(200, site.worklist.change_state(asker_of(request, who), uid, state, key).warning)

        return await _with_body(request, change)

    @router.post("/{uid}/cancelrequest", max_body_size=LARGEST)
    @_ORDERS
    async def request_cancel(request: Request, who: Who, uid: Uid) -> Response:
        """Ask for the end of a workitem (UPS-RS)."""

        def change(body: Attributes) -> Response:
            warning = site.worklist.request_cancel(asker_of(request, who), uid, body).warning
            # Already so: nothing is left to be accepted (PS3.18 11.8.3).
            return done(409 if warning else 202, warning)

        return await _with_body(request, change, may_be_empty=True)


async def _with_body(
    request: Request, work: Callable[[Attributes], Response], *, may_be_empty: bool = False
) -> Response:
    """Read the body and do the work, in a thread: both may take a while."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind not in (JSON, "application/json", XML) and (body or not may_be_empty):
        return JSONResponse({"error": f"Send {JSON} or {XML}."}, 415, headers={"Accept": f"{JSON}, {XML}"})

    def run() -> Response:
        try:
            return work({} if may_be_empty and not body else read_body(body, is_xml=kind == XML))
        except WorkitemRefused as error:
            return refused(error)

    return await run_in_threadpool(run)


def _bare_uid(request: Request, *names: str) -> str:
    """Return the UID that a parameter names, or that stands there alone (``?1.2.3``)."""
    for name, value in request.query_params.multi_items():
        if name in names:
            return value
        if is_uid(name) and not value:
            return name
    return ""


def _accepted(request: Request) -> list[MediaType]:
    return read_accept(request.headers.getlist("accept"), request.query_params.get("accept", ""))


def _written_list(answers: list[dict[str, object]], chosen: MediaType, headers: dict[str, str]) -> Response:
    if not chosen.is_multipart:
        return Response(orjson.dumps(answers), media_type=JSON, headers=headers)
    parts = (Part(media_type=XML, pieces=[encode_xml(one)]) for one in answers)  # type: ignore[arg-type]
    multipart = Multipart(XML, parts)
    return Response(b"".join(multipart), media_type=multipart.media_type, headers=headers)
