"""Look again at a place where a nodule is known to be, or to have been.

In: a place on an upright CT, the size that is expected.  Out: the nodule as it is there, or nothing.
Never: a search around; a nodule of quite another size.
"""

from __future__ import annotations

import numpy as np

from wetread.domain.volume import Triple
from wetread.measure.blobs import Blob
from wetread.measure.likeness import measure_features, measure_probability
from wetread.measure.nodules import Nodule, Search, describe, look_at
from wetread.measure.volume import measure_volume_mm3

#: The outline's own middle and radius are the place of the next look.
_LOOKS = 3
#: Finer than any search: what is known to be there may have shrunk.
_LEAST_DIAMETER_MM = 2.5


def look_again(search: Search, place: Triple, radius_mm: float, reach_mm: float) -> Nodule | None:
    """Outline and measure what lies at a place.

    Parameters
    ----------
    place
        (plane, row, column) on the upright grid, fractional.
    radius_mm
        Of the nodule as it was seen elsewhere.
    reach_mm
        How far from the place its middle may lie.

    Returns
    -------
    Nodule or None
        None where nothing is dense enough, or what is lies farther away. How much it looks like a nodule
        is its ``probability``; whoever asks decides.
    """
    spacing = np.asarray(search.source.volume.grid.spacing_mm)
    at = Blob(index=place, radius_mm=radius_mm, strength_hu=0.0)
    found = None
    for _ in range(_LOOKS):
        seen = look_at(search, at, max(0.4, at.radius_mm / 9.0))
        if seen is None:
            return None
        patch, outline = seen
        volume_mm3 = measure_volume_mm3(patch, outline)
        middle = patch.to_volume_index(np.argwhere(outline.mask).mean(axis=0))
        moved_mm = float(np.linalg.norm((middle - at.index) * spacing))
        found = patch, outline, volume_mm3
        radius = (3.0 * volume_mm3 / (4.0 * np.pi)) ** (1 / 3)
        is_settled = moved_mm < 0.2 and abs(radius - at.radius_mm) < 0.1 * radius
        at = Blob(
            index=(float(middle[0]), float(middle[1]), float(middle[2])), radius_mm=radius, strength_hu=0.0
        )
        if is_settled:
            break
    if found is None or not _fits(search, at, place, reach_mm):
        return None
    features = measure_features(found[0], found[1], 0.0, found[2])
    return describe(search, *found, (features, measure_probability(features, search.settings.weights)))


def _fits(search: Search, at: Blob, place: Triple, reach_mm: float) -> bool:
    spacing = np.asarray(search.source.volume.grid.spacing_mm)
    away_mm = float(np.linalg.norm((np.subtract(at.index, place)) * spacing))
    return away_mm <= reach_mm and (
        _LEAST_DIAMETER_MM <= 2.0 * at.radius_mm <= search.settings.greatest_diameter_mm
    )
