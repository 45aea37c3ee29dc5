"""A nodule's sizes at two visits, as what the Reading says of its past.

In: what was measured in both scans.  Out: ``PriorComparison``.
Never: pixels; a size that was not measured now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from wetread.domain.comparison import PastSize, PriorComparison, Status
from wetread.infer.prior import KnownFinding, PriorStudy
from wetread.measure.growth import Sized, join, measure_change, measure_doubling
from wetread.measure.nodules import Nodule
from wetread.measure.pairing import Pair, Spot
from wetread.measure.repeatability import read_repeatability

_NEAR_MM = 3.0


def sized(nodule: Nodule, step_mm: float) -> Sized:
    """Return a nodule as its change is measured; ``step_mm`` is the distance of the scan's planes."""
    return Sized(
        volume_mm3=nodule.volume_mm3,
        mean_diameter_mm=nodule.axial.mean_mm,
        mean_hu=nodule.mean_hu,
        texture=nodule.texture,
        attached=nodule.features.attached + nodule.features.pleural,
        step_mm=step_mm,
    )


def find_known(known: Sequence[KnownFinding], spot: Spot) -> KnownFinding | None:
    """Return the finding of the prior Reading at a spot of the same scan; None where there is none."""
    apart = [float(np.linalg.norm(np.subtract(one.center_lps_mm, spot.center_lps_mm))) for one in known]
    nearest = int(np.argmin(apart)) if apart else -1
    return known[nearest] if apart and apart[nearest] <= max(_NEAR_MM, spot.radius_mm) else None


def compare_sizes(
    prior: PriorStudy,
    pair: Pair,
    parts: tuple[Sequence[Sized], Sequence[Sized]],
    history: tuple[PastSize, ...],
) -> PriorComparison:
    """Compare a nodule with what it was.

    Parameters
    ----------
    parts
        At this study and at the prior one: several where it has split or merged.
    history
        Earlier than the prior study, by the same version.
    """
    model = read_repeatability()
    now, before = (join(list(one)) for one in parts)
    change = measure_change(before, now, prior.interval_days, model)
    past = PastSize(
        study_instance_uid=prior.study_instance_uid,
        studied_on=prior.studied_on,
        volume_mm3=round(before.volume_mm3, 3),
        mean_diameter_mm=round(before.mean_diameter_mm, 3),
    )
    low, high = change.volume_ci95
    overall = _overall_days((*history, past), now, prior.interval_days)
    return PriorComparison(
        study_instance_uid=prior.study_instance_uid,
        volume_change_percent=round(change.volume_percent, 2),
        volume_change_ci95=(round(low, 2), round(high, 2)),
        doubling_time_days=_rounded(change.doubling_time_days),
        status=Status(change.trend.value) if change.trend else None,
        match=pair.match.value,
        match_confidence=round(pair.confidence, 3),
        studied_on=prior.studied_on,
        interval_days=prior.interval_days,
        volume_mm3=past.volume_mm3,
        mean_diameter_mm=past.mean_diameter_mm,
        mean_diameter_change_mm=round(change.mean_diameter_mm, 2),
        mean_diameter_change_percent=round(change.mean_diameter_percent, 2),
        mass_change_percent=round(change.mass_percent, 2),
        density_change_percent=round(change.density_percent, 2),
        history=(*history, past),
        overall_doubling_time_days=_rounded(overall),
    )


def _overall_days(past: tuple[PastSize, ...], now: Sized, interval_days: int) -> float | None:
    """Doubling time over all visits, of three or more."""
    if len(past) < 2 or not all(one.studied_on for one in past):
        return None
    last = date.fromisoformat(past[-1].studied_on)
    points = [((date.fromisoformat(one.studied_on) - last).days, one.volume_mm3) for one in past]
    return measure_doubling([*points, (interval_days, now.volume_mm3)], now, read_repeatability())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
