"""A finding on both visits, cut alike from the images that are held.

In: a Reading that compares, the series of one visit.  Out: where a finding lies there, and its picture.
Never: words in a picture; an image that was not read or compared with.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from wetread.compose.pair import cut_picture, find_plane, side_mm
from wetread.compose.pr import LUNG_WINDOW_CENTER, LUNG_WINDOW_WIDTH
from wetread.dicom.planes import Plane, read_planes
from wetread.domain.comparison import Comparison, PriorPlace
from wetread.domain.reading import Reading
from wetread.domain.study import Instance, Series
from wetread.domain.volume import Triple
from wetread.imaging.display import Window
from wetread.imaging.render import PNG, RenderOptions, render
from wetread.measure.alignment import open_alignment

_WINDOW = Window(center=LUNG_WINDOW_CENTER, width=LUNG_WINDOW_WIDTH)


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
    if comparison is None or grid is None:
        return None
    spot = _spot(reading, comparison, number)
    if spot is None:
        return None
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
    there, images = spot.there, comparison.images
    if there is None or images is None:
        return None
    return replace(
        now,
        study_instance_uid=comparison.study_instance_uid,
        series_instance_uid=images.series_instance_uid,
        center_lps_mm=there.center_lps_mm,
        sop_instance_uid=there.sop_instance_uid,
        sop_instance_uids=frozenset(images.sop_instance_uids),
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


def draw_place(
    series: Series, place: ShownPlace, open_file: Callable[[Instance], BinaryIO] = Instance.open
) -> Image.Image | None:
    """Return the picture of a place; None where the series does not show it.

    Raises
    ------
    UndecodablePixels, UnreadableInstance, OSError
        If the image cannot be had.
    """
    plane = _find(series, place)
    if plane is None:
        return None
    with open_file(plane.instance) as file:
        whole = render(file, plane.frame + 1, RenderOptions(media_type=PNG, window=_WINDOW))
    grey = np.asarray(Image.open(io.BytesIO(whole)).convert("L"))
    return cut_picture(grey, plane, place.center_lps_mm, place.wide_mm)


def _find(series: Series, place: ShownPlace) -> Plane | None:
    read = tuple(one for one in series.instances if one.sop_instance_uid in place.sop_instance_uids)
    planes = read_planes(replace(series, instances=read))[0]
    best = [one for one in planes if one.instance.sop_instance_uid == place.sop_instance_uid]
    # Of an object of several frames, the one that lies nearest.
    return find_plane(best or planes, place.center_lps_mm) or (best[0] if len(best) == 1 else None)
