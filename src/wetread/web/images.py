"""Stacks of images for a browser without a viewer of its own: one picture for each slice.

In: a study's key, a stack's, a slice's number.  Out: PNG, outlines as SVG, what there is as JSON.
Never: a UID of a patient's images in an address; a picture in a cache that others share.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from wetread.domain.study import study_key
from wetread.errors import InvalidQuery
from wetread.identity import Permission
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.marks import Part, picture_scale, turned_spacing_mm
from wetread.web.quick import QuickRoute
from wetread.web.site import Site
from wetread.web.stacks import WINDOWS, Stack

_SLICE = "/studies/{key}/stacks/{stack}/{number}"
#: A slice never changes; that it is kept a while by one browser, for one person, makes scrolling back quick.
#: ``/logout`` clears it.
_KEPT = {"Cache-Control": "private, max-age=900", "Vary": "Cookie, Authorization"}
_KEY, _NUMBER = re.compile(r"[0-9a-f]{16}"), re.compile(r"[1-9][0-9]{0,5}")
_PART = re.compile(r"([0-9]{1,5}),([0-9]{1,5}),([1-9][0-9]{0,4}),([1-9][0-9]{0,4})")
_OF = re.compile(r"[0-9a-f]{12}-[0-9]{1,4}")
_ASKED = needs(Permission.STUDIES, is_background=True)


def make_images(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, route_class=QuickRoute)
    router.get("/studies/{key}/stacks")(_ASKED(_listing(site)))
    router.get(f"{_SLICE}/image")(_ASKED(_showing(site)))
    router.get(f"{_SLICE}/marks")(_ASKED(_marking(site)))
    return router


def _listing(site: Site) -> Callable[..., Response]:
    def stacks(request: Request, eyes: Look) -> Response:
        row = _study(request, eyes)
        described = [_describe(one) for one in eyes.list_stacks(row)]
        eyes.note_opened(row, "pictures of the study")
        return JSONResponse({"stacks": described, "marks": site.pictures.name_marks(row)})

    return stacks


def _showing(site: Site) -> Callable[..., Response]:
    def image(request: Request, eyes: Look) -> Response:
        row, stack, number = _slice(request, eyes)
        window = request.query_params.get("window", "stored")
        if window not in WINDOWS:
            raise InvalidQuery("A window is lung, soft, bone or stored.")
        part = _read_part(request)
        eyes.note_opened(row, "pictures of the study")
        drawn = site.pictures.draw_slice(row, stack, number, window, part)
        if drawn is None:
            raise HTTPException(404)
        return Response(drawn, media_type="image/png", headers=_KEPT)

    return image


def _marking(site: Site) -> Callable[..., Response]:
    def marks(request: Request, eyes: Look) -> Response:
        row, stack, number = _slice(request, eyes)
        of = request.query_params.get("of", "")
        if of and not _OF.fullmatch(of):
            raise InvalidQuery("A finding is named by its Reading and its place in it.")
        part = _read_part(request)
        drawn = site.pictures.draw_marks(row, stack, number, of, part)
        eyes.note_opened(row, "pictures of the study")
        # Of a study's marks only those of Readings that are named may be kept: it may be read again.
        is_named = request.query_params.get("v")
        return Response(drawn, media_type="image/svg+xml", headers=_KEPT if is_named else None)

    return marks


def _study(request: Request, eyes: Eyes) -> StudyRow:
    key = request.path_params["key"]
    if not _KEY.fullmatch(key):
        raise HTTPException(404)
    return eyes.find_study(key)


def _slice(request: Request, eyes: Eyes) -> tuple[StudyRow, Stack, int]:
    row, number = _study(request, eyes), request.path_params["number"]
    asked = request.path_params["stack"]
    stack = next((one for one in eyes.list_stacks(row) if one.key == asked), None)
    if stack is None or not _NUMBER.fullmatch(number) or int(number) > len(stack.slices):
        raise HTTPException(404)
    return row, stack, int(number)


def _read_part(request: Request) -> Part | None:
    text = request.query_params.get("part", "")
    if not text:
        return None
    found = _PART.fullmatch(text)
    if not found:
        raise InvalidQuery("A part is left,top,width,height.")
    left, top, width, height = map(int, found.groups())
    return Part(left=left, top=top, width=width, height=height)


def _describe(stack: Stack) -> dict[str, object]:
    numbers = range(1, len(stack.slices) + 1)
    return {
        "key": stack.key,
        # The same when slices came.
        "series": study_key(stack.series_instance_uid),
        "title": stack.title,
        "letters": stack.letters,
        "windows": stack.windows,
        "first_window": stack.first_window,
        "places": [stack.place_words(number) for number in numbers],
        # Of a picture's pixel: they are square. 0: not known.
        "pixel_mm": min(turned_spacing_mm(stack)) if stack.layout else 0,
        "scale": picture_scale(stack),
    }
