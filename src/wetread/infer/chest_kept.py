"""What a comparison keeps of the prior study, so that others can show both.

In: the prior study, its scan.  Out: its images, places in it.
Never: pixels.
"""

from __future__ import annotations

from wetread.domain.comparison import PriorImages, PriorPlace
from wetread.domain.volume import FloatArray, Grid, Triple
from wetread.infer.chest_findings import Place, own_plane
from wetread.infer.chest_look import ChestScan
from wetread.infer.prior import PriorStudy
from wetread.measure.nodules import Nodule


def keep_images(prior: PriorStudy, grid: Grid) -> PriorImages:
    """Return which images were compared with."""
    classes = {one.sop_instance_uid: one.sop_class_uid for one in prior.series.instances}
    uids = tuple(dict.fromkeys(grid.sop_instance_uids))
    return PriorImages(
        series_instance_uid=prior.series.series_instance_uid,
        sop_class_uid=classes.get(uids[0], "") if uids else "",
        frame_of_reference_uid=grid.frame_of_reference_uid,
        sop_instance_uids=uids,
    )


def keep_place(scan: ChestScan, nodule: Nodule) -> PriorPlace:
    """Return where a nodule lies in the scan that it was found in."""
    place = Place(grid=scan.grid, upright_grid=scan.volume.grid, upright=scan.upright)
    uids = scan.grid.sop_instance_uids
    return PriorPlace(
        sop_instance_uid=uids[own_plane(place, nodule)] if uids else "",
        center_lps_mm=_triple(scan.volume.grid.to_lps_mm(nodule.center)),
    )


def _triple(values: FloatArray) -> Triple:
    x, y, z = (round(float(one), 3) for one in values)
    return x, y, z
