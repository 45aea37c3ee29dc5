"""DICOMweb: QIDO-RS and WADO-RS under ``/dicom-web``, WADO-URI under ``/wado``.

In: requests.  Out: what ``share`` answers, for who may see it.
Never: an answer that is not in the audit trail; a study of a sender that is not theirs.

References
----------
PS3.18 sections 9 (URI), 10.4 (Retrieve), 10.6 (Search).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import chain

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from wetread.dicom.header import is_uid
from wetread.dicom.xml_model import encode_xml
from wetread.domain.query import Level
from wetread.errors import InvalidQuery
from wetread.identity import Permission
from wetread.imaging.render import RenderOptions, render, thumbnail
from wetread.share.accept import JSON, XML, MediaType, choose, read_accept
from wetread.share.multipart import Multipart, Part
from wetread.share.qido import Search, read_search, write_answer
from wetread.share.rendered import read_rendering
from wetread.share.wado import Payload, Wado, read_frame_list
from wetread.store.catalogue import Held
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.guard import LOOPBACK_HOSTS
from wetread.web.quick import QuickRoute
from wetread.web.site import Site

PREFIX = "/dicom-web"
#: Results that are counted beyond those that are answered: more would take longer than the answer.
MOST_COUNTED = 10_000
#: Bytes read at a time.
_BATCH = 2 << 20
#: Images and headers name the patient.
_ASKED = needs(Permission.STUDIES, Permission.IDENTITY)
_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"


def make_dicomweb(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"], route_class=QuickRoute)
    _add_retrieve(router, site)
    _add_search(router, site)
    return router


def _add_search(router: APIRouter, site: Site) -> None:
    for path, level in (
        ("/studies", Level.STUDY),
        ("/series", Level.SERIES),
        ("/instances", Level.IMAGE),
        (f"{_STUDY}/series", Level.SERIES),
        (f"{_STUDY}/instances", Level.IMAGE),
        (f"{_SERIES}/instances", Level.IMAGE),
    ):
        router.get(path, name=f"search {path}")(_ASKED(_searching(site, level)))


def _searching(site: Site, level: Level) -> Callable[..., Response]:
    def search(request: Request, eyes: Look) -> Response:
        """Search by attributes (QIDO-RS)."""
        named = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
        path = {named[name]: value for name, value in request.path_params.items()}
        parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "accept"]
        asked = read_search(level, path, parameters, eyes.principal.sources)
        chosen = choose(_accepted(request), _SEARCH_OFFERED)
        if "study" in request.path_params:
            eyes.find_study_by_uid(request.path_params["study"])
        with eyes.noting_query(f"DICOMweb query for {level.value.lower()}"):
            found = site.store.catalogue.search(asked.query, is_brief=asked.is_brief)
            body = write_answer(asked, found, base_url(request))
        warnings = _warnings(asked, _remaining(site, asked, len(found)))
        return _written(body, chosen, {"Warning": warnings} if warnings else {})

    return search


_SEARCH_OFFERED = (
    MediaType(name=JSON),
    MediaType(name="application/json"),
    MediaType(name=XML, is_multipart=True),
)


def _written(body: bytes, chosen: MediaType, headers: dict[str, str]) -> Response:
    if not chosen.is_multipart:
        return Response(body, media_type=JSON, headers=headers)
    parts = (Part(media_type=XML, pieces=[encode_xml(one)]) for one in orjson.loads(body))
    multipart = Multipart(XML, parts)
    return Response(b"".join(multipart), media_type=multipart.media_type, headers=headers)


def _remaining(site: Site, asked: Search, count: int) -> int:
    """Return how many more there are than are answered."""
    if count <= asked.limit:
        return 0
    before = asked.query.offset + asked.limit
    return site.store.catalogue.count(asked.query, before + MOST_COUNTED) - before


def _warnings(asked: Search, remaining: int) -> str:
    texts = list(asked.warnings)
    if remaining:
        # PS3.18 8.3.4.4 gives the words.
        more = f"more than {remaining - 1}" if remaining >= MOST_COUNTED else str(remaining)
        texts.append(f"There are {more} additional results that can be requested")
    return ", ".join(f'299 wetread: "{text}"' for text in texts)


def _add_retrieve(router: APIRouter, site: Site) -> None:
    # Tried in this order.
    router.get(f"{_INSTANCE}/frames/{{frames}}", name="frames")(_ASKED(_framing(site)))
    router.get(f"{_INSTANCE}/rendered", name="rendered")(_ASKED(_rendering(site)))
    router.get(f"{_INSTANCE}/frames/{{frame}}/rendered", name="rendered frame")(_ASKED(_rendering(site)))
    router.get(f"{_INSTANCE}/bulkdata/{{place:path}}", name="bulk data")(_ASKED(_bulk(site)))
    for path in (_STUDY, _SERIES, _INSTANCE):
        router.get(path, name=f"retrieve {path}")(_ASKED(_retrieving(site)))
        router.get(f"{path}/metadata", name=f"metadata {path}")(_ASKED(_describing(site)))
        router.get(f"{path}/thumbnail", name=f"thumbnail {path}")(_ASKED(_thumbnail(site)))


def _retrieving(site: Site) -> Callable[..., Response]:
    def retrieve(request: Request, eyes: Look) -> Response:
        """Retrieve objects (WADO-RS)."""
        study, held = _held(site, eyes, request)
        with eyes.noting_retrieved(study, len(held)):
            return stream(_wado(site, request).retrieve(held, _accepted(request)))

    return retrieve


def _describing(site: Site) -> Callable[..., Response]:
    def metadata(request: Request, eyes: Look) -> Response:
        """Retrieve headers (WADO-RS)."""
        place = _place(request)
        row = eyes.find_study_by_uid(place[0])
        eyes.note_opened(row, "headers of the study")
        payload = _wado(site, request).metadata(place, _accepted(request))
        body = b"".join(payload.pieces)
        if body == b"[]":
            raise HTTPException(404)
        return Response(body, media_type=payload.media_type)

    return metadata


def _framing(site: Site) -> Callable[..., Response]:
    def frames(request: Request, eyes: Look) -> Response:
        """Retrieve frames (WADO-RS)."""
        study, [held] = _held(site, eyes, request)
        eyes.note_opened(study, "frames of the study")
        numbers = read_frame_list(request.path_params["frames"])
        return stream(_wado(site, request).frames(held, numbers, _accepted(request)))

    return frames


def _bulk(site: Site) -> Callable[..., Response]:
    def bulk_data(request: Request, eyes: Look) -> Response:
        """Retrieve a long value (WADO-RS)."""
        study, [held] = _held(site, eyes, request)
        eyes.note_opened(study, "a value of the study")
        place = request.path_params["place"]
        return stream(_wado(site, request).bulk_data(held, place, _accepted(request)))

    return bulk_data


def _rendering(site: Site) -> Callable[..., Response]:
    def rendered(request: Request, eyes: Look) -> Response:
        """Retrieve a picture of a frame (WADO-RS)."""
        study, [held] = _held(site, eyes, request)
        eyes.note_opened(study, "pictures of the study")
        [number, *_] = read_frame_list(request.path_params.get("frame", "1"))
        options = read_rendering(request.query_params, _accepted(request))
        return picture(site, held, number, options)

    return rendered


def _thumbnail(site: Site) -> Callable[..., Response]:
    def small(request: Request, eyes: Look) -> Response:
        """Retrieve a small picture (WADO-RS)."""
        study, held = _held(site, eyes, request)
        eyes.note_opened(study, "pictures of the study")
        options = read_rendering({}, _accepted(request))
        # Of a series or study, what lies in the middle: it shows most.
        with site.store.catalogue.open(held[len(held) // 2]) as file:
            return Response(thumbnail(file, media_type=options.media_type), media_type=options.media_type)

    return small


def picture(site: Site, held: Held, number: int, options: RenderOptions) -> Response:
    """Return a frame as a picture."""
    with site.store.catalogue.open(held) as file:
        try:
            shown = render(file, number, options)
        except ValueError as error:
            raise InvalidQuery("The region lies outside of the image.") from error
    return Response(shown, media_type=options.media_type)


def base_url(request: Request) -> str:
    """Return the address of the DICOMweb service, as whoever asks knows it."""
    url = request.base_url
    server = request.scope.get("server")
    if url.port is None and url.hostname in LOOPBACK_HOSTS and server:
        # Some clients leave the port out of Host. On this machine there is no proxy that would know better.
        url = url.replace(port=server[1])
    return f"{str(url).rstrip('/')}{PREFIX}"


def _wado(site: Site, request: Request) -> Wado:
    return Wado(site.store.catalogue, base_url(request), site.layouts)


def _accepted(request: Request) -> list[MediaType]:
    return read_accept(request.headers.getlist("accept"), request.query_params.get("accept", ""))


def _place(request: Request) -> tuple[str, ...]:
    """Return the UIDs of the address: study, series, instance, as far as it names them."""
    named = [
        request.path_params[name] for name in ("study", "series", "instance") if name in request.path_params
    ]
    if not all(is_uid(uid) for uid in named):
        raise HTTPException(404)
    return tuple(named)


def _held(site: Site, eyes: Eyes, request: Request) -> tuple[StudyRow, Sequence[Held]]:
    place = _place(request)
    study = eyes.find_study_by_uid(place[0])
    held = site.store.catalogue.list_held(*place)
    if not held:
        raise HTTPException(404)
    return study, held


def stream(payload: Payload) -> Response:
    """Return an answer that is sent piece by piece, or at once where it is small."""
    batches = _batch(payload.pieces)
    # Before anything is sent: that it cannot be had must still be an answer.
    first = next(batches, [])
    second = next(batches, None)
    if second is None:
        return Response(b"".join(first), media_type=payload.media_type)
    # Whoever knows how much is to come reads it in one go; chunks are taken apart one by one.
    headers = {} if payload.size is None else {"Content-Length": str(payload.size)}
    pieces = _read_ahead(chain([first, second], batches))
    return StreamingResponse(pieces, headers=headers, media_type=payload.media_type)


async def _read_ahead(batches: Iterator[list[bytes]]) -> AsyncIterator[bytes]:
    """Yield the pieces; the next batch is read while one is sent."""
    reading = asyncio.ensure_future(run_in_threadpool(next, batches, None))
    try:
        while (batch := await reading) is not None:
            reading = asyncio.ensure_future(run_in_threadpool(next, batches, None))
            for piece in batch:
                yield piece
    finally:
        # Whoever asked may have gone: no file is closed while a thread reads it.
        with contextlib.suppress(Exception):
            await asyncio.shield(reading)


def _batch(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the pieces in batches of at least ``_BATCH`` bytes: each goes from thread to thread by itself."""
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
