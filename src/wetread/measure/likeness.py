"""How much a spot looks like a nodule rather than a vessel or a fold of the pleura.

In: patch and outline.  Out: shape features and a probability.
Never: coefficients; they are data of the model package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.measure.outline import Outline, measure_compactness
from wetread.measure.patch import Patch
from wetread.measure.share import measure_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What tells a nodule from what is not; all without units but for the radius."""

    #: Volume over that of the ball around the centre that holds 98 % of it: 1 for a ball.
    compactness: float
    #: Longest over middle principal axis: large for a vessel.
    elongation: float
    #: Middle over shortest principal axis: large for a fold or plaque.
    flatness: float
    #: Share of the surface on vessels or other dense tissue.
    attached: float
    #: Share of the surface on the pleura.
    pleural: float
    #: Weakest curvature over contrast: 0.31 for a ball.
    roundness: float
    #: Contrast to lung over 900 HU.
    contrast: float
    #: Radius of the sphere of the same volume.
    radius_mm: float


def measure_features(patch: Patch, outline: Outline, strength_hu: float, volume_mm3: float) -> Features:
    """Measure the features of an outlined spot."""
    places = np.argwhere(outline.mask).astype(float)
    # A voxel has an extent of its own, and one alone no other.
    shape = np.cov(places.T) if len(places) > 1 else np.zeros((3, 3))
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(shape + np.eye(3) / 12.0), 1e-6))
    surface = outline.mask & ~ndimage.binary_erosion(outline.mask)
    contrast = outline.inner_hu - outline.outer_hu
    return Features(
        compactness=measure_compactness(outline.mask),
        elongation=float(spread[2] / spread[1]),
        flatness=float(spread[1] / spread[0]),
        attached=_share(surface, outline.attached, patch.spacing_mm),
        pleural=_share(surface, ~patch.lung, patch.spacing_mm),
        roundness=strength_hu / max(contrast, 1.0),
        contrast=contrast / 900.0,
        radius_mm=(3.0 * volume_mm3 / (4.0 * math.pi)) ** (1 / 3),
    )


def _share(surface: BoolArray, other: BoolArray, spacing_mm: float) -> float:
    steps = max(1, round(0.8 / spacing_mm))
    near = ndimage.binary_dilation(other, iterations=steps)
    return measure_share(surface & near, surface)


def measure_probability(features: Features, weights: Mapping[str, float]) -> float:
    """Logistic formula over the features.

    Parameters
    ----------
    weights
        ``intercept`` and one weight per feature.
    """
    total = weights["intercept"]
    for name in WEIGHTED:
        total += weights[name] * float(getattr(features, name))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


#: Features that have a weight.
WEIGHTED = (
    "compactness",
    "elongation",
    "flatness",
    "attached",
    "pleural",
    "roundness",
    "contrast",
    "radius_mm",
)
