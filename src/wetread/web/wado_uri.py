"""WADO-URI under ``/wado``: one object at a time, for viewers that know nothing newer.

In: requests.  Out: a Part 10 file or a picture.
Never: an object by its UID alone: study and series must fit.

References
----------
PS3.18 section 9.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from wetread.dicom.header import is_uid
from wetread.dicom.part10 import EXPLICIT
from wetread.errors import InvalidQuery
from wetread.identity import Permission
from wetread.imaging.render import JPEG, PNG
from wetread.share.accept import DICOM, MediaType
from wetread.share.rendered import read_uri_rendering
from wetread.share.wado import Wado, read_frame_list
from wetread.store.catalogue import Held
from wetread.web.access import needs
from wetread.web.dicomweb import base_url, picture, stream
from wetread.web.eyes import Eyes, Look
from wetread.web.site import Site

_UIDS = ("studyUID", "seriesUID", "objectUID")


def make_wado_uri(site: Site) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["DICOMweb"])

    @router.get("/wado")
    @needs(Permission.STUDIES, Permission.IDENTITY)
    def wado(request: Request, eyes: Look) -> Response:
        """Retrieve an object (WADO-URI)."""
        asked = request.query_params
        if asked.get("requestType") != "WADO":
            raise InvalidQuery("requestType is WADO.")
        held = _find(site, eyes, asked)
        media_type = _media_type(asked)
        if media_type == DICOM:
            accepted = [MediaType(name=DICOM, transfer_syntax_uid=asked.get("transferSyntax", EXPLICIT))]
            return stream(Wado(site.store.catalogue, base_url(request)).retrieve([held], accepted))
        [number, *_] = read_frame_list(asked.get("frameNumber", "1"))
        return picture(site, held, number, read_uri_rendering(asked, media_type))

    return router


def _find(site: Site, eyes: Eyes, asked: Mapping[str, str]) -> Held:
    study, series, instance = (asked.get(name, "") for name in _UIDS)
    if not all(is_uid(uid) for uid in (study, series, instance)):
        raise InvalidQuery("studyUID, seriesUID and objectUID name the object.")
    row = eyes.find_study_by_uid(study)
    held = site.store.catalogue.list_held(study, series, instance)
    if not held:
        raise HTTPException(404)
    eyes.note_opened(row, "an object of the study")
    return held[0]


def _media_type(asked: Mapping[str, str]) -> str:
    """Return the first of ``contentType`` that we have; JPEG where nothing is said (PS3.18 9.1.2.2.1)."""
    named = [one.partition(";")[0].strip() for one in asked.get("contentType", JPEG).split(",")]
    known = [one for one in named if one in (DICOM, JPEG, PNG)]
    if not known:
        raise HTTPException(406)
    return known[0]
