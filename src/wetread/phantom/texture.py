"""Textures that move with the anatomy: lung parenchyma, emphysema, soft tissue.

In: rest points, a random generator.  Out: fields on the coarse grid.  Never: scanner noise.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wetread.phantom.distance import Float, as_distance, cut
from wetread.phantom.options import PhantomOptions
from wetread.phantom.thorax import Thorax

_STEP_MM = 3.0
_LOW_MM = np.array([-190.0, -190.0, -240.0])
_COUNTS = (126, 126, 150)


def _noise(rng: np.random.Generator, rest: Float, width_mm: float) -> Float:
    """Return smooth noise of unit variance, fixed to the anatomy."""
    raw = rng.standard_normal(_COUNTS, dtype=np.float32)
    smooth = ndimage.gaussian_filter(raw, width_mm / _STEP_MM, mode="wrap")
    smooth /= smooth.std()
    index = [(rest[..., axis] - np.float32(_LOW_MM[axis])) / np.float32(_STEP_MM) for axis in range(3)]
    sampled: Float = ndimage.map_coordinates(smooth, index, order=1, mode="nearest", output=np.float32)
    return sampled


def lung_texture(options: PhantomOptions, thorax: Thorax, lps: Float, down: float) -> Float:
    """Return HU of lung tissue: a mean, gravity, lobules, large patches."""
    rng = np.random.default_rng([options.seed, 7])
    hu = np.float32(options.patient.lung_hu) + 18 * _noise(rng, thorax.rest, 2.0)
    hu += 10 * _noise(rng, thorax.rest, 9.0)
    # Dependent lung is denser: about 50 HU from front to back.
    hu += np.float32(0.28 * down) * lps[..., 1]
    return hu.astype(np.float32)


def soft_grain(rng: np.random.Generator, rest: Float) -> Float:
    """Return noise of unit variance for fat and muscle."""
    return _noise(rng, rest, 3.5)


def emphysema_holes(rng: np.random.Generator, thorax: Thorax, percent: float, spacing_mm: float) -> Float:
    """Return the distance to destroyed lung, so that it takes the wished percent of the lungs."""
    inside = thorax.lungs < 0
    upper = np.clip((thorax.rest[..., 2] + 110.0) / 230.0, 0.0, 1.0)
    field = _noise(rng, thorax.rest, 3.2) + 0.7 * _noise(rng, thorax.rest, 12.0) + 1.6 * upper
    threshold = np.percentile(field[inside], 100 - percent)
    return cut(as_distance((threshold - field).astype(np.float32), spacing_mm))
