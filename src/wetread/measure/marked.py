"""What somebody outlined, measured as the model's own findings are.

In: a volume of any orientation, a mask on its grid.  Out: sizes, density, the axes and where they lie.
Never: an outline of its own; a size for what is larger than any nodule.

Axes are those of ``diameter``, on the upright view, of the surface halfway between the last voxel inside and
the first outside. The volume is that of the voxels: an outline by hand is where its hand put it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.finding import Axes
from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import FloatArray, Grid, Triple, Volume
from wetread.errors import LabelsDoNotFit, NotFinite
from wetread.measure.diameter import PlaneAxes, measure_axes
from wetread.measure.orientation import Upright, to_upright

#: What can be said of any outline.
OF_OUTLINES = frozenset(
    {
        *("volume_mm3", "volume_ml", "mean_hu", "area_mm2"),
        *("long_axis_mm", "short_axis_mm", "mean_diameter_mm"),
        *("greatest_long_axis_mm", "greatest_short_axis_mm", "greatest_mean_diameter_mm"),
    }
)
_OF_AXES = OF_OUTLINES - {"volume_mm3", "volume_ml", "mean_hu"}
#: Voxels of the box around an outline whose axes are wanted: some 100 mm of a fine CT.
_MOST_VOXELS = 8_000_000
#: As fine as nodules are looked at (``nodules``).
_LEAST_SPACING_MM, _SPACINGS_IN_RADIUS = 0.4, 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What was measured."""

    measurements: Mapping[str, float]
    center_lps_mm: Triple
    #: Of the volume's own grid: the one on which the axes lie.
    key_plane: int
    #: None where no axes were wanted.
    axes: Axes | None


def measure_marked(volume: Volume, mask: Mask, names: Collection[str]) -> Marked:
    """Measure an outline.

    Parameters
    ----------
    names
        Of ``MEASUREMENTS``: those that are wanted; those that no outline can say are left out.

    Raises
    ------
    LabelsDoNotFit
        If the mask is empty, of another shape than the volume, or too large for axes.
    NotFinite
        If a voxel inside is no number.
    """
    if mask.shape != volume.grid.shape or not mask.voxel_count:
        raise LabelsDoNotFit("The outline holds no voxel of the image: draw it again")
    values = volume.voxels[mask.box][mask.voxels].astype(np.float64)
    if not np.isfinite(values).all():
        raise NotFinite("The image has values inside of the outline that are no numbers")
    size_mm3 = mask.voxel_count * volume.grid.voxel_volume_mm3
    found = {"volume_mm3": size_mm3, "volume_ml": size_mm3 / 1000, "mean_hu": float(values.mean())}
    key_plane, axes = mask.largest_plane, None
    if _OF_AXES & set(names):
        lengths, key_plane, axes = _measure_axes(volume, mask, size_mm3)
        found |= lengths
    center = volume.grid.to_lps_mm(np.argwhere(mask.voxels).mean(axis=0) + mask.offset)
    return Marked(
        measurements={name: round(value, 3) for name, value in found.items() if name in names},
        center_lps_mm=_triple(center),
        key_plane=key_plane,
        axes=axes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fine:
    """The signed distance to the surface on cubic voxels, negative inside, in voxels."""

    field: FloatArray
    spacing_mm: float
    #: Of the upright grid: where voxel (0, 0, 0) lies, and how far the next one.
    first: FloatArray
    step: FloatArray

    def to_index(self, points: FloatArray) -> FloatArray:
        """Map places of the field to the upright grid."""
        return np.asarray(self.first + points * self.step)


def _measure_axes(volume: Volume, mask: Mask, size_mm3: float) -> tuple[dict[str, float], int, Axes]:
    if mask.voxels.size > _MOST_VOXELS:
        raise LabelsDoNotFit("The outline is larger than any finding that has axes: draw it again")
    upright_volume, upright = to_upright(volume)
    fine = _refine(mask, upright, upright_volume.grid, size_mm3)
    planes = [_largest_plane(fine, axis) for axis in range(3)]
    index, axial = planes[0]
    greatest = max((one for _, one in planes), key=lambda one: one.long_mm)
    plane = float(np.rint(fine.to_index(np.array([index, 0.0, 0.0]))[0]))
    ends = [
        _ends(fine, index, plane, upright_volume.grid, one) for one in (axial.long_points, axial.short_points)
    ]
    middle = upright_volume.grid.to_lps_mm([plane, *_middle(fine)[1:]])
    own = int(np.clip(np.rint(volume.grid.to_index(middle)[0]), 0, volume.grid.shape[0] - 1))
    lengths = {
        "long_axis_mm": axial.long_mm,
        "short_axis_mm": axial.short_mm,
        "mean_diameter_mm": axial.mean_mm,
        "greatest_long_axis_mm": greatest.long_mm,
        "greatest_short_axis_mm": greatest.short_mm,
        "greatest_mean_diameter_mm": greatest.mean_mm,
        "area_mm2": axial.area_mm2,
    }
    return lengths, own, Axes(long=ends[0], short=ends[1])


def _refine(mask: Mask, upright: Upright, grid: Grid, size_mm3: float) -> _Fine:
    box = np.pad(upright.view(mask.voxels), 2)
    # Where the padded box begins on the upright grid.
    starts = [mask.offset[axis] for axis in upright.order]
    last = [mask.shape[axis] - mask.offset[axis] - mask.voxels.shape[axis] for axis in upright.order]
    start = np.array(
        [end if flip else begin for begin, end, flip in zip(starts, last, upright.flipped, strict=True)]
    )
    spacing = np.asarray(grid.spacing_mm)
    signed_mm = _signed_distance(box, grid.spacing_mm)
    radius_mm = (3.0 * size_mm3 / (4.0 * np.pi)) ** (1 / 3)
    fine_mm = max(_LEAST_SPACING_MM, radius_mm / _SPACINGS_IN_RADIUS)
    step = fine_mm / spacing
    axes = [np.arange(0.0, size - 1.0 + 1e-9, by) for size, by in zip(box.shape, step, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    field = ndimage.map_coordinates(signed_mm, places, order=1, mode="nearest") / fine_mm
    return _Fine(field=field, spacing_mm=fine_mm, first=start - 2.0, step=step)


def _signed_distance(mask: BoolArray, spacing_mm: Triple) -> FloatArray:
    """To the surface halfway between neighbours, mm."""
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    return np.asarray(outside - inside)


def _largest_plane(fine: _Fine, axis: int) -> tuple[int, PlaneAxes]:
    others = tuple(other for other in range(3) if other != axis)
    index = int(np.argmax((fine.field < 0).sum(axis=others)))
    axes = measure_axes(np.take(fine.field, index, axis), fine.spacing_mm)
    if axes is None:
        raise LabelsDoNotFit("The outline is too thin to be measured: draw it again")
    return index, axes


def _ends(fine: _Fine, index: int, plane: float, grid: Grid, points: FloatArray) -> tuple[Triple, Triple]:
    lifted = fine.to_index(np.column_stack([np.full(len(points), float(index)), points]))
    # On the image that shows it, not between two.
    lifted[:, 0] = plane
    lps = grid.to_lps_mm(lifted)
    return _triple(lps[0]), _triple(lps[1])


def _middle(fine: _Fine) -> FloatArray:
    return fine.to_index(np.argwhere(fine.field < 0).mean(axis=0))


def _triple(point: FloatArray) -> Triple:
    x, y, z = (round(float(value), 4) for value in point)
    return (x, y, z)
