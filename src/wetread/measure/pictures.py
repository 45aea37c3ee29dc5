"""What two CTs are registered by: their lungs, and what stands out inside of them.

In: an upright CT with its lungs.  Out: pictures on blocks, and how two of them differ.
Never: how one is to be moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Volume
from wetread.measure.coarse import Coarse, Float32Array
from wetread.measure.thorax import Labels

#: Around the lungs, so that their edge is seen.
_MARGIN_MM = 14.0
#: Vessels are seen against the mean of what is so near.
_NEAR_MM = 10.0
_LOWEST_HU, _HIGHEST_HU = -1000.0, -200.0
#: Nothing stands out more than this many standard deviations: a new nodule bends nothing.
_MOST_SD = 4.0
#: Weight of the lungs' outline beside that of the vessels.
_OUTLINE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LungView:
    """An upright CT as it is registered."""

    volume: Volume
    coarse: Coarse
    #: Closed lungs on the coarse grid.
    closed: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A CT, and how its lungs stand out against what is near; it is drawn from on blocks of several sizes."""

    view: LungView
    #: 1 inside of the lungs, 0 outside; on the coarse grid as ``above_hu``.
    inside: Float32Array
    #: CT number above the mean of what is near, 0 outside.
    above_hu: Float32Array


def see_contrast(view: LungView) -> Contrast:
    """Take away from each voxel of the lungs what is near it on average."""
    inside = (view.closed > 0).astype(np.float32)
    hu = np.clip(view.coarse.voxels, _LOWEST_HU, _HIGHEST_HU)
    near = [_NEAR_MM / step for step in view.coarse.spacing_mm]
    share = np.maximum(ndimage.gaussian_filter(inside, near, truncate=2.0), 1e-3)
    mean = ndimage.gaussian_filter(hu * inside, near, truncate=2.0) / share
    return Contrast(view=view, inside=inside, above_hu=(hu - mean) * inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Both pictures of a CT, on its coarse grid."""

    #: What stands out, in standard deviations; 0 outside of the lungs.
    vessels: Float32Array
    #: 1 inside, 0 outside, smooth between.
    lungs: Float32Array
    #: From LPS mm to places in both: ``turn @ lps + start``.
    turn: Float32Array
    start: Float32Array

    def middle_lps_mm(self) -> FloatArray:
        """Return the middle of the lungs."""
        index = np.argwhere(self.lungs > 0.5).mean(axis=0)
        return np.asarray(np.linalg.solve(self.turn.astype(float), index - self.start))

    def lungs_at(self, lps_mm: Float32Array) -> tuple[Float32Array, BoolArray]:
        """Return the lungs at points of shape (..., 3), and whether each was scanned."""
        index, known = self._places(lps_mm)
        return ndimage.map_coordinates(self.lungs, index, order=1, mode="nearest"), known

    def at(self, lps_mm: Float32Array) -> tuple[Float32Array, Float32Array, BoolArray]:
        """Return vessels and lungs at points of shape (..., 3), and whether each was scanned."""
        index, known = self._places(lps_mm)
        vessels, lungs = (
            ndimage.map_coordinates(one, index, order=1, mode="nearest") for one in (self.vessels, self.lungs)
        )
        return vessels, lungs, known

    def _places(self, lps_mm: Float32Array) -> tuple[Float32Array, BoolArray]:
        ones = (1,) * (lps_mm.ndim - 1)
        index = np.tensordot(self.turn, lps_mm, axes=(1, -1)) + self.start.reshape(3, *ones)
        size = np.reshape(self.vessels.shape, (3, *ones))
        return index, np.all((index >= -0.5) & (index <= size - 0.5), axis=0)


def draw(contrast: Contrast, spacing_mm: float) -> Pictures:
    """Draw both pictures, as smooth as blocks of this size want them."""
    view, inside = contrast.view, contrast.inside
    coarse = view.coarse
    sigma = [0.5 * np.sqrt(max(0.0, spacing_mm**2 - step**2)) / step for step in coarse.spacing_mm]
    vessels = ndimage.gaussian_filter(contrast.above_hu, sigma, truncate=3.0) * inside
    spread = float(np.sqrt(np.mean(vessels[inside > 0] ** 2)))
    vessels = np.clip(vessels / max(spread, 1e-3), -_MOST_SD, _MOST_SD)
    lungs = ndimage.gaussian_filter(inside, [max(spacing_mm, 4.0) / step for step in coarse.spacing_mm])
    factors = np.asarray(coarse.factors, dtype=float)
    matrix = np.linalg.inv(view.volume.grid.index_to_lps)
    return Pictures(
        vessels=vessels.astype(np.float32),
        lungs=lungs.astype(np.float32),
        turn=(matrix[:3, :3] / factors[:, None]).astype(np.float32),
        start=((matrix[:3, 3] + 0.5) / factors - 0.5).astype(np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Blocks around the lungs of a CT, along z, y and x."""

    #: Middle of the first block.
    origin_lps_mm: FloatArray
    shape: tuple[int, int, int]
    spacing_mm: float

    def points(self) -> Float32Array:
        """Return the middle of every block in LPS mm, shape (planes, rows, columns, 3)."""
        lines = [
            (self.origin_lps_mm[2 - k] + np.arange(self.shape[k]) * self.spacing_mm).astype(np.float32)
            for k in range(3)
        ]
        return np.stack(np.meshgrid(*lines, indexing="ij")[::-1], axis=-1)


def surround(view: LungView, spacing_mm: float) -> Box:
    """Lay blocks around the lungs."""
    places = np.argwhere(view.closed > 0)
    ends = [places.min(axis=0), places.max(axis=0)]
    corners = np.array([[ends[bit][k] for k, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    fine = (corners + 0.5) * np.asarray(view.coarse.factors) - 0.5
    lps = view.volume.grid.to_lps_mm(fine)
    low, high = lps.min(axis=0) - _MARGIN_MM, lps.max(axis=0) + _MARGIN_MM
    counts = np.ceil((high - low)[::-1] / spacing_mm).astype(int) + 1
    return Box(
        origin_lps_mm=low, shape=(int(counts[0]), int(counts[1]), int(counts[2])), spacing_mm=spacing_mm
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two CTs differ block by block, and what moving a block by a millimetre changes of it."""

    #: Of the least squares: xx, xy, xz, yy, yz, zz; shape (6, planes, rows, columns).
    square: Float32Array
    #: Half the slope of the squared difference along x, y, z; shape (3, planes, rows, columns).
    slope: Float32Array
    #: Vessels of the current CT and of the prior one, shape (2, planes, rows, columns); where both are lung.
    vessels: Float32Array
    shared: BoolArray
    #: Lungs of both likewise, and where both were scanned.
    lungs: Float32Array
    known: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The current CT on blocks around its lungs, and the prior one beside it."""

    box: Box
    #: ``box.points()``.
    points: Float32Array
    #: ``Pictures.at`` these points of the current CT.
    here: tuple[Float32Array, Float32Array, BoolArray]
    prior: Pictures


def prepare(current: Contrast, prior: Contrast, spacing_mm: float) -> Scene:
    """Draw two CTs as blocks of this size want them."""
    box = surround(current.view, spacing_mm)
    points = box.points()
    here = draw(current, spacing_mm).at(points)
    return Scene(box=box, points=points, here=here, prior=draw(prior, spacing_mm))


def compare(scene: Scene, moved: Float32Array) -> Difference:
    """Compare each block with the prior CT at where it is moved to, LPS mm."""
    here, there, box = scene.here, scene.prior.at(moved), scene.box
    known = here[2] & there[2]
    lungs, vessels = np.stack([here[1], there[1]]), np.stack([here[0], there[0]])
    shared = known & (lungs[0] > 0.5) & (lungs[1] > 0.5)
    square = np.zeros((6, *box.shape), dtype=np.float32)
    slope = np.zeros((3, *box.shape), dtype=np.float32)
    for pictures, where, weight in ((vessels, shared, 1.0), (lungs, known, _OUTLINE)):
        _add(square, slope, pictures, where * np.float32(weight), box.spacing_mm)
    return Difference(square=square, slope=slope, vessels=vessels, shared=shared, lungs=lungs, known=known)


def _add(
    square: Float32Array, slope: Float32Array, pictures: Float32Array, weight: Float32Array, spacing_mm: float
) -> None:
    rest = pictures[1] - pictures[0]
    # Along z, y, x: turned round to x, y, z.
    slopes = np.gradient(0.5 * (pictures[0] + pictures[1]), spacing_mm)[::-1]
    for at, (one, other) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
        square[at] += weight * slopes[one] * slopes[other]
    for axis in range(3):
        slope[axis] += weight * rest * slopes[axis]
