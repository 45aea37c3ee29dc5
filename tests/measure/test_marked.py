"""What somebody outlined is measured to within its voxels, whatever way the images lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from wetread.domain.mask import Mask
from wetread.domain.volume import Grid, Triple, Volume
from wetread.errors import LabelsDoNotFit, NotFinite
from wetread.measure.marked import OF_OUTLINES, measure_marked

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
FLIPPED = ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
SAGITTAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
OBLIQUE = ((0.0, 0.6, 0.8), (0.0, 0.8, -0.6), (1.0, 0.0, 0.0))


def ellipsoid(
    half_mm: Sequence[float], spacing_mm: Triple, directions=AXIAL, shape=(40, 44, 48)
) -> tuple[Volume, Mask]:
    """Return an ellipsoid whose half axes lie along z, y and x of the patient."""
    grid = Grid(shape=shape, spacing_mm=spacing_mm, origin_lps_mm=(-5.0, 40.0, 7.0), directions=directions)
    points = grid.to_lps_mm(np.indices(shape).transpose(1, 2, 3, 0))
    center = grid.to_lps_mm([size / 2 + 0.2 for size in shape])
    inside = (((points - center)[..., ::-1] / half_mm) ** 2).sum(axis=-1) <= 1.0
    voxels = np.where(inside, 30, -850).astype(np.int16)
    return Volume(voxels=voxels, grid=grid), Mask.from_array(inside)


@pytest.mark.parametrize("directions", [AXIAL, FLIPPED, SAGITTAL, OBLIQUE])
def test_an_ellipsoid_has_its_axes_and_volume(directions) -> None:
    half = (4.0, 8.0, 5.0)
    volume, mask = ellipsoid(half, (0.6, 0.6, 0.6), directions)
    marked = measure_marked(volume, mask, OF_OUTLINES)
    found = marked.measurements
    assert found["volume_mm3"] == pytest.approx(4 / 3 * np.pi * np.prod(half), rel=0.02)
    assert found["volume_ml"] == pytest.approx(found["volume_mm3"] / 1000, abs=0.001)
    assert found["mean_hu"] == 30.0
    # The plane nearest to axial cuts it 37 degrees aslant where the images are oblique.
    long_mm = 16.0 if directions is not OBLIQUE else 2 / np.hypot(0.8 / 8.0, 0.6 / 4.0)
    assert found["long_axis_mm"] == pytest.approx(long_mm, abs=0.6)
    assert found["short_axis_mm"] == pytest.approx(10.0, abs=0.6)
    assert found["mean_diameter_mm"] == pytest.approx((long_mm + 10.0) / 2, abs=0.6)
    if directions is not OBLIQUE:
        assert found["greatest_long_axis_mm"] == pytest.approx(16.0, abs=0.8)
    center = volume.grid.to_lps_mm([size / 2 + 0.2 for size in volume.grid.shape])
    assert np.allclose(marked.center_lps_mm, center, atol=0.2)
    assert marked.axes is not None
    for ends, length in ((marked.axes.long, "long_axis_mm"), (marked.axes.short, "short_axis_mm")):
        assert np.linalg.norm(np.subtract(*ends)) == pytest.approx(found[length], abs=0.05)
        # The widest place of the short one is flat: it may lie beside the middle.
        assert np.allclose(np.mean(ends, axis=0), center, atol=2.0)


def test_thick_slices_do_not_bend_the_axes() -> None:
    volume, mask = ellipsoid((6.0, 6.0, 6.0), (2.5, 0.7, 0.7))
    found = measure_marked(volume, mask, OF_OUTLINES).measurements
    assert found["long_axis_mm"] == pytest.approx(12.0, abs=0.8)
    assert found["area_mm2"] == pytest.approx(np.pi * 36, rel=0.08)


def test_only_what_is_wanted_is_measured() -> None:
    volume, mask = ellipsoid((4.0, 4.0, 4.0), (0.8, 0.8, 0.8))
    marked = measure_marked(volume, mask, ["volume_mm3", "distance_to_pleura_mm"])
    assert set(marked.measurements) == {"volume_mm3"}
    assert marked.axes is None
    assert marked.key_plane == mask.largest_plane


def test_one_voxel_has_a_size() -> None:
    volume, _ = ellipsoid((4.0, 4.0, 4.0), (0.8, 0.8, 0.8))
    alone = np.zeros(volume.grid.shape, dtype=bool)
    # At the very edge: nothing around it is asked of.
    alone[0, 0, 0] = True
    found = measure_marked(volume, Mask.from_array(alone), OF_OUTLINES).measurements
    assert 0.4 < found["long_axis_mm"] < 1.6


def test_what_cannot_be_measured_is_refused() -> None:
    volume, mask = ellipsoid((4.0, 4.0, 4.0), (0.8, 0.8, 0.8))
    with pytest.raises(LabelsDoNotFit, match="no voxel"):
        measure_marked(volume, Mask.from_array(np.zeros(volume.grid.shape, dtype=bool)), OF_OUTLINES)
    with pytest.raises(LabelsDoNotFit, match="no voxel"):
        measure_marked(volume, Mask.from_array(np.ones((2, 2, 2), dtype=bool)), OF_OUTLINES)
    voxels = volume.voxels.astype(np.float32)
    voxels[mask.box] = np.nan
    with pytest.raises(NotFinite):
        measure_marked(Volume(voxels=voxels, grid=volume.grid), mask, OF_OUTLINES)


def test_what_is_larger_than_any_nodule_has_no_axes() -> None:
    shape = (210, 200, 200)
    grid = Grid(shape=shape, spacing_mm=(1.0, 1.0, 1.0), origin_lps_mm=(0.0, 0.0, 0.0), directions=AXIAL)
    whole = Mask.from_array(np.ones(shape, dtype=bool))
    volume = Volume(voxels=np.zeros(shape, dtype=np.int8), grid=grid)
    with pytest.raises(LabelsDoNotFit, match="larger than any"):
        measure_marked(volume, whole, ["long_axis_mm"])
    assert measure_marked(volume, whole, ["volume_ml"]).measurements["volume_ml"] == 8400.0
