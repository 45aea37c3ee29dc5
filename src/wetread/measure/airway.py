"""The trachea and main bronchi, followed downwards from the top of the scan.

In: coarse CT (planes up, rows back), the body.  Out: the airway's lumen as a mask.
Never: small bronchi; they stay with the lung, as in other lung masks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Triple
from wetread.measure.coarse import Float32Array

# Adult tracheal lumen: 10-27 mm across (Breatnach et al. 1984, doi:10.2214/ajr.142.5.903);
# larger cross sections come from oblique cuts and the carina.
_AREA_MM2 = (50.0, 900.0)
_LENGTH_MM = 20.0
_BELOW_TOP_MM = 150.0
_OFF_MIDLINE_MM = 45.0
#: A cross section this many times the last one is a leak into the lung.
_LEAK = 2.0


def find_airway(hu: Float32Array, body: BoolArray, spacing_mm: Triple, air_hu: float) -> BoolArray:
    """Find the lumen of trachea and main bronchi.

    Parameters
    ----------
    hu
        Coarse CT, shape (planes, rows, columns), planes growing upwards.
    body
        Filled body.
    spacing_mm
        Of ``hu``.
    air_hu
        What the scanner gives for air.
    """
    dark = (hu < air_hu + 110.0) & body
    start = _find_start(dark, body, spacing_mm)
    lumen = np.zeros(hu.shape, dtype=bool)
    if start is None:
        return lumen
    plane, section = start
    lumen[plane] = section
    _follow(lumen, dark, plane, -1, spacing_mm)
    _follow(lumen, dark, plane, 1, spacing_mm)
    return np.asarray(ndimage.binary_dilation(lumen) & (hu < air_hu + 600.0))


def _find_start(dark: BoolArray, body: BoolArray, spacing_mm: Triple) -> tuple[int, BoolArray] | None:
    """The middle of the highest round section that goes on for 20 mm."""
    pixel = spacing_mm[1] * spacing_mm[2]
    run = max(3, round(_LENGTH_MM / spacing_mm[0]))
    top = dark.shape[0] - 1
    last = max(0, top - round(_BELOW_TOP_MM / spacing_mm[0]))
    for plane in range(top, last, -max(1, run // 2)):
        labels, count = ndimage.label(dark[plane])
        for number in range(1, count + 1):
            section = np.asarray(labels == number)
            if _is_tracheal(section, body[plane], pixel, spacing_mm[2]) and _goes_on(
                section, dark, plane, run, pixel
            ):
                return plane, section
    return None


def _is_tracheal(section: BoolArray, body: BoolArray, pixel_mm2: float, column_mm: float) -> bool:
    area = float(np.count_nonzero(section)) * pixel_mm2
    if not _AREA_MM2[0] <= area <= _AREA_MM2[1] or not body.any():
        return False
    rows, columns = np.nonzero(section)
    middle = np.nonzero(body)[1].mean()
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    round_enough = np.count_nonzero(section) > 0.4 * extent**2
    return bool(abs(columns.mean() - middle) * column_mm <= _OFF_MIDLINE_MM and round_enough)


def _goes_on(section: BoolArray, dark: BoolArray, plane: int, run: int, pixel_mm2: float) -> bool:
    current = section
    for below in range(plane - 1, max(-1, plane - run - 1), -1):
        grown = _overlapping(current, dark[below])
        if grown is None or np.count_nonzero(grown) * pixel_mm2 > _AREA_MM2[1]:
            return False
        current = grown
    return True


def _follow(lumen: BoolArray, dark: BoolArray, plane: int, step: int, spacing_mm: Triple) -> None:
    pixel = spacing_mm[1] * spacing_mm[2]
    index = plane + step
    while 0 <= index < dark.shape[0]:
        section = _grow(lumen[index - step], dark[index], pixel)
        if not section.any():
            return
        lumen[index] = section
        index += step


def _grow(before: BoolArray, dark: BoolArray, pixel_mm2: float) -> BoolArray:
    """The sections of a plane that continue those of the plane before, leaks left out."""
    labels, _ = ndimage.label(dark)
    result = np.zeros(dark.shape, dtype=bool)
    for number in np.unique(labels[before & dark]):
        section = labels == number
        area = float(np.count_nonzero(section))
        touched = float(np.count_nonzero(before & ndimage.binary_dilation(section, iterations=2)))
        if area <= _LEAK * touched + 60.0 / pixel_mm2:
            result |= section
    return result


def _overlapping(section: BoolArray, dark: BoolArray) -> BoolArray | None:
    labels, _ = ndimage.label(dark)
    hit: npt.NDArray[np.integer] = labels[section & dark]
    return np.asarray(labels == np.bincount(hit).argmax()) if hit.size else None
