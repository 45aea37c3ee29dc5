"""Pictures of a finding on both visits, cut alike from the images that are held.

In: a study, a Reading of it, a finding's number, which visit.  Out: PNG.
Never: an image of a study that is not theirs who ask; a day in the picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Response
from PIL import Image

from wetread.compose.pair import cut_picture, find_plane, side_mm
from wetread.compose.pr import LUNG_WINDOW_CENTER, LUNG_WINDOW_WIDTH
from wetread.dicom.planes import Plane, read_planes
from wetread.domain.comparison import Comparison, PriorPlace
from wetread.domain.reading import Reading
from wetread.domain.volume import Triple
from wetread.errors import NotHeld
from wetread.identity import Permission
from wetread.imaging.display import Window
from wetread.imaging.render import PNG, RenderOptions, render
from wetread.measure.alignment import open_alignment
from wetread.store import Store
from wetread.store.readings import ReadingRow
from wetread.web.access import needs
from wetread.web.eyes import Look
from wetread.web.pages import Key, Number
from wetread.web.site import Site

#: ``now`` or ``prior``.
Visit = Annotated[str, Path(pattern="^(now|prior)$")]
_WINDOW = Window(center=LUNG_WINDOW_CENTER, width=LUNG_WINDOW_WIDTH)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPlace:
    """What is cut out."""

    study_instance_uid: str
    series_instance_uid: str
    center_lps_mm: Triple
    #: The image that shows it best; ``""``: the one that lies nearest.
    sop_instance_uid: str
    #: Those of the series that were read.
    sop_instance_uids: frozenset[str]
    wide_mm: float


def find_place(reading: Reading, number: int, *, is_prior: bool) -> ShownPlace | None:
    """Return where a finding lies at one visit; what is gone is counted on behind the findings.

    What only one visit has is shown at its place in the other, as the two were registered.
    """
    comparison, grid = reading.comparison, reading.grid
    if comparison is None or comparison.images is None or grid is None:
        return None
    spot = _spot(reading, comparison, number)
    if spot is None or (is_prior and spot.there is None):
        return None
    there = spot.there or PriorPlace(sop_instance_uid="", center_lps_mm=spot.here)
    now = ShownPlace(
        study_instance_uid=reading.study_instance_uid,
        series_instance_uid=reading.series_instance_uid,
        center_lps_mm=spot.here,
        sop_instance_uid=spot.image,
        sop_instance_uids=frozenset(grid.sop_instance_uids),
        wide_mm=side_mm(spot.diameters_mm),
    )
    if not is_prior:
        return now
    return replace(
        now,
        study_instance_uid=comparison.study_instance_uid,
        series_instance_uid=comparison.images.series_instance_uid,
        center_lps_mm=there.center_lps_mm,
        sop_instance_uid=there.sop_instance_uid,
        sop_instance_uids=frozenset(comparison.images.sop_instance_uids),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    here: Triple
    image: str
    there: PriorPlace | None
    diameters_mm: Sequence[float]


def _spot(reading: Reading, comparison: Comparison, number: int) -> _Spot | None:
    findings, grid = reading.findings, reading.grid
    if number >= len(findings):
        rest = number - len(findings)
        if rest >= len(comparison.gone):
            return None
        gone = comparison.gone[rest]
        return _Spot(
            here=gone.center_lps_mm, image="", there=gone.place, diameters_mm=(gone.mean_diameter_mm,)
        )
    finding = findings[number]
    uids = grid.sop_instance_uids if grid else ()
    there = finding.prior.place if finding.prior else None
    if there is None and comparison.alignment is not None:
        x, y, z = (float(one) for one in open_alignment(comparison.alignment).to_prior(finding.center_lps_mm))
        there = PriorPlace(sop_instance_uid="", center_lps_mm=(x, y, z))
    sizes = [finding.measurements.get("mean_diameter_mm", 0.0)]
    sizes += [finding.prior.mean_diameter_mm] if finding.prior and finding.prior.mean_diameter_mm else []
    image = uids[finding.key_plane] if finding.key_plane < len(uids) else ""
    return _Spot(here=finding.center_lps_mm, image=image, there=there, diameters_mm=sizes)


def _draw(store: Store, place: ShownPlace) -> bytes:
    plane = _plane(store, place)
    if plane is None:
        raise NotHeld
    held = store.catalogue.find_held(plane.instance.sop_instance_uid)
    if held is None:
        raise NotHeld
    with store.catalogue.open(held) as file:
        whole = render(file, plane.frame + 1, RenderOptions(media_type=PNG, window=_WINDOW))
    grey = np.asarray(Image.open(io.BytesIO(whole)).convert("L"))
    picture = io.BytesIO()
    cut_picture(grey, plane, place.center_lps_mm, place.wide_mm).save(picture, "PNG", compress_level=1)
    return picture.getvalue()


def _plane(store: Store, place: ShownPlace) -> Plane | None:
    study = store.studies.load(place.study_instance_uid)
    for series in study.series if study else ():
        if series.series_instance_uid == place.series_instance_uid:
            read = tuple(one for one in series.instances if one.sop_instance_uid in place.sop_instance_uids)
            planes = read_planes(replace(series, instances=read))[0]
            best = [one for one in planes if one.instance.sop_instance_uid == place.sop_instance_uid]
            # Of an object of several frames, the one that lies nearest.
            return find_plane(best or planes, place.center_lps_mm) or (best[0] if len(best) == 1 else None)
    return None
