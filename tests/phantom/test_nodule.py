from __future__ import annotations

import numpy as np
import pytest

from wetread.domain.volume import Grid, Triple
from wetread.phantom.nodule import NoduleForm, draw_form, measure_axes
from wetread.phantom.options import NoduleOptions, Shape
from wetread.phantom.stamp import stamp_form

SHAPES = list(Shape)


def sphere(radius_mm: float) -> NoduleForm:
    none = np.zeros(0)
    return NoduleForm(
        scale_mm=radius_mm,
        axes=np.ones(3),
        bumps=np.zeros((0, 3)),
        heights=none,
        sharpness=none,
        strands=np.zeros((0, 3)),
        strand_mm=none,
    )


def mask_of(form: NoduleForm, step_mm: float) -> np.ndarray:
    reach = form.reach_mm + step_mm
    line = np.arange(-reach, reach, step_mm, dtype=np.float32)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    return form.excess_mm(np.stack([x, y, z], axis=-1)) < 0


def draw(shape: Shape, diameter_mm: float = 8.0, seed: int = 5) -> NoduleForm:
    return draw_form(NoduleOptions(diameter_mm=diameter_mm, shape=shape), np.random.default_rng(seed))


def test_sphere_is_measured_exactly() -> None:
    form = sphere(6.0)
    assert form.volume_mm3 == pytest.approx(4 / 3 * np.pi * 216, rel=1e-6)
    assert form.support_mm((0.0, 0.6, 0.8)) == pytest.approx(6.0, rel=2e-3)
    long_mm, short_mm = measure_axes(form)
    assert long_mm == pytest.approx(12.0, abs=0.05)
    assert short_mm == pytest.approx(12.0, abs=0.05)


def test_ellipsoid_axes_come_from_the_widest_axial_plane() -> None:
    form = NoduleForm(
        scale_mm=5.0,
        axes=np.array([1.4, 0.8, 2.0]),
        bumps=np.zeros((0, 3)),
        heights=np.zeros(0),
        sharpness=np.zeros(0),
        strands=np.zeros((0, 3)),
        strand_mm=np.zeros(0),
    )
    assert measure_axes(form) == pytest.approx((14.0, 8.0), abs=0.06)


@pytest.mark.parametrize("shape", SHAPES)
def test_volume_is_that_of_the_wished_sphere_and_of_a_fine_mask(shape: Shape) -> None:
    form = draw(shape)
    assert form.volume_mm3 == pytest.approx(np.pi / 6 * 8.0**3, rel=1e-6)
    counted = np.count_nonzero(mask_of(form, 0.1)) * 0.1**3
    assert counted == pytest.approx(form.volume_mm3, rel=3e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_axes_agree_with_a_fine_mask(shape: Shape) -> None:
    form = draw(shape, 10.0)
    mask = mask_of(form, 0.1)
    plane = mask[int(mask.sum(axis=(1, 2)).argmax())]
    points = np.argwhere(plane & ~np.roll(plane, 1, axis=1) | plane & ~np.roll(plane, -1, axis=1)) * 0.1
    extent = np.linalg.norm(points[:, None] - points[None], axis=-1).max()
    long_mm, short_mm = measure_axes(form)
    assert long_mm == pytest.approx(extent, abs=0.25)
    assert 0.5 * long_mm < short_mm <= long_mm + 1e-6


def test_growth_keeps_the_shape() -> None:
    form = draw(Shape.LOBULATED)
    grown = form.scaled(2 ** (1 / 3))
    assert grown.volume_mm3 == pytest.approx(2 * form.volume_mm3, rel=1e-9)
    assert measure_axes(grown)[0] / measure_axes(form)[0] == pytest.approx(2 ** (1 / 3), rel=5e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("plane", "row"), [((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), ((0.0, 0.6, 0.8), (0.0, 0.8, -0.6))]
)
def test_stamped_coverage_sums_to_the_volume(shape: Shape, plane: Triple, row: Triple) -> None:
    grid = Grid(
        shape=(40, 40, 40),
        spacing_mm=(0.8, 0.7, 0.7),
        origin_lps_mm=(-14.0, -14.0, -16.0),
        directions=(plane, row, (1.0, 0.0, 0.0)),
    )
    form = draw(shape, 9.0, seed=8)
    center = grid.to_lps_mm([19.3, 20.2, 18.9])
    patch = stamp_form(grid, form, center)
    assert patch is not None
    total = float(patch.cover.sum()) * grid.voxel_volume_mm3
    assert total == pytest.approx(form.volume_mm3, rel=4e-3)


def test_stamped_sphere_lies_at_its_centre() -> None:
    grid = Grid(
        shape=(30, 30, 30),
        spacing_mm=(1.25, 0.7, 0.7),
        origin_lps_mm=(5.0, 6.0, 7.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    center = grid.to_lps_mm([14.37, 15.61, 13.2])
    patch = stamp_form(grid, sphere(4.0), center)
    assert patch is not None
    index = np.argwhere(patch.cover > 0)
    weights = patch.cover[patch.cover > 0]
    mean = grid.to_lps_mm((index + patch.corner).T @ weights / weights.sum())
    assert np.linalg.norm(mean - center) < 0.03


def test_form_outside_the_grid_leaves_no_patch() -> None:
    grid = Grid(
        shape=(4, 4, 4),
        spacing_mm=(1.0, 1.0, 1.0),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    assert stamp_form(grid, sphere(3.0), (50.0, 0.0, 0.0)) is None
