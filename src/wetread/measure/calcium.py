"""Calcium in the coronary arteries: Agatston, volume and mass score.

In: a native CT, a mask of where to look.  Out: scores, of all lesions and of each.
Never: a mass without a calibration; a verdict; calcium told from contrast or a stent.

Agatston et al. 1990, doi:10.1016/0735-1097(90)90282-T: in each slice of 3 mm, lesions of at least 1 mm2 from
130 HU on, area times a weight by the peak. Slices of another distance count by their share of 3 mm. A lesion
is what touches in its slice at a side or a corner. Mass: Hong et al. 2002, doi:10.1148/radiol.2232010919.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Volume
from wetread.errors import ConfigError, LabelsDoNotFit

CALCIUM_HU = 130
SMALLEST_MM2 = 1.0
#: From this peak on: weight. The last that applies counts.
WEIGHTS = ((130, 1), (200, 2), (300, 3), (400, 4))
_SLICE_MM = 3.0
_TOUCHING = np.ones((3, 3), dtype=bool)


class InvalidCalibration(ConfigError):
    """The calibration of the scanner must be a positive number of mg hydroxyapatite per ml and HU."""

    code = "invalid-calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """Calcium that touches in one slice."""

    #: Index of the slice.
    plane: int
    area_mm2: float
    peak_hu: float
    mean_hu: float
    #: 1 to 4.
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalciumScore:
    """The three scores."""

    agatston: float
    #: Voxels counted, without interpolation.
    volume_mm3: float
    #: Of hydroxyapatite; None where the scanner is not calibrated.
    mass_mg: float | None
    lesions: tuple[Lesion, ...]


def score_calcium(
    volume: Volume, where: Mask, *, calibration_mg_per_ml_hu: float | None = None
) -> CalciumScore:
    """Score the calcium in a mask.

    Parameters
    ----------
    volume
        HU, without contrast agent; its planes are the slices.
    where
        Coronary arteries, one or all, with some room around them: aorta, valves and bone left out.
    calibration_mg_per_ml_hu
        Of scanner, kernel and voltage, from a phantom: concentration by HU.

    Raises
    ------
    LabelsDoNotFit
        If the mask is of another shape than the volume.
    InvalidCalibration
        If the calibration is no positive number.
    """
    if where.shape != volume.grid.shape:
        raise LabelsDoNotFit("The mask has another shape than the image: resample it")
    factor = calibration_mg_per_ml_hu
    if factor is not None and not (math.isfinite(factor) and factor > 0):
        raise InvalidCalibration(calibration=factor)
    step_mm, *pixel_mm = volume.grid.spacing_mm
    lesions = tuple(_find_lesions(volume, where, pixel_mm[0] * pixel_mm[1]))
    # mean HU x area x step, mm3 to ml
    density = sum(one.mean_hu * one.area_mm2 for one in lesions) * step_mm / 1000
    return CalciumScore(
        agatston=sum(one.area_mm2 * one.weight for one in lesions) * step_mm / _SLICE_MM,
        volume_mm3=sum(one.area_mm2 for one in lesions) * step_mm,
        mass_mg=None if factor is None else factor * density,
        lesions=lesions,
    )


def _find_lesions(volume: Volume, where: Mask, pixel_mm2: float) -> Iterator[Lesion]:
    box = volume.voxels[where.box]
    for plane, (hu, inside) in enumerate(zip(box, where.voxels, strict=True), start=where.offset[0]):
        calcium: BoolArray = inside & (hu >= CALCIUM_HU)
        labels, count = ndimage.label(calcium, _TOUCHING)
        for number in range(1, count + 1):
            values = hu[labels == number].astype(np.float64)
            area = len(values) * pixel_mm2
            # A pixel's area may be a hair less than what it is meant to be.
            if area < SMALLEST_MM2 * (1 - 1e-9):
                continue
            peak = float(values.max())
            yield Lesion(
                plane=plane,
                area_mm2=area,
                peak_hu=peak,
                mean_hu=float(values.mean()),
                weight=max(weight for least, weight in WEIGHTS if peak >= least),
            )
