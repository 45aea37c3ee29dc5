"""Pictures of a finding on both visits, cut alike from the images that are held.

In: a study, a Reading of it, a finding's number, which visit.  Out: PNG.
Never: an image of a study that is not theirs who ask; a day in the picture.
"""

from __future__ import annotations

import io
from functools import partial
from typing import Annotated, BinaryIO

from fastapi import APIRouter, HTTPException, Path, Response

from wetread.compose.beside import ShownPlace, draw_place, find_place
from wetread.domain.study import Instance
from wetread.errors import NotHeld
from wetread.identity import Permission
from wetread.imaging.render import PNG
from wetread.store import Store
from wetread.store.readings import ReadingRow
from wetread.web.access import needs
from wetread.web.eyes import Look
from wetread.web.pages import Key, Number
from wetread.web.site import Site

#: ``now`` or ``prior``.
Visit = Annotated[str, Path(pattern="^(now|prior)$")]


def make_beside(site: Site) -> APIRouter:
    """Return the route."""
    router = APIRouter(include_in_schema=False)

    @router.get("/studies/{key}/changes/{reading_id}/{number}/{visit}")
    @needs(Permission.STUDIES, is_background=True)
    def beside(eyes: Look, key: Key, reading_id: Number, number: Number, visit: Visit) -> Response:
        study = eyes.find_study(key)
        row = _reading_of(site.store, study.study_instance_uid, reading_id)
        reading = site.store.readings.load(row.digest)
        place = find_place(reading, number, is_prior=visit == "prior")
        if place is None:
            raise HTTPException(404)
        # The prior study is a study: seen by whom it may be seen, and recorded as seen.
        shown = eyes.find_study_by_uid(place.study_instance_uid) if visit == "prior" else study
        eyes.note_opened(shown, "a picture of the study")
        return Response(_draw(site.store, place), media_type=PNG)

    return router


def _reading_of(store: Store, study_instance_uid: str, reading_id: int) -> ReadingRow:
    rows = [one for one in store.readings.list_for_study(study_instance_uid) if one.id == reading_id]
    if not rows:
        raise HTTPException(404)
    return rows[0]


def _draw(store: Store, place: ShownPlace) -> bytes:
    study = store.studies.load(place.study_instance_uid)
    for series in study.series if study else ():
        if series.series_instance_uid == place.series_instance_uid:
            image = draw_place(series, place, partial(_open, store))
            if image is not None:
                picture = io.BytesIO()
                image.save(picture, "PNG", compress_level=1)
                return picture.getvalue()
    raise NotHeld


def _open(store: Store, instance: Instance) -> BinaryIO:
    held = store.catalogue.find_held(instance.sop_instance_uid)
    if held is None:
        raise NotHeld
    return store.catalogue.open(held)
