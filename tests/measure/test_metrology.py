"""Strands, solid parts and heights of painted nodules whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from wetread.domain.volume import Grid, Volume
from wetread.measure.coarse import shrink
from wetread.measure.metrology import measure_form
from wetread.measure.nodules import surface_field
from wetread.measure.outline import Texture, outline_nodule
from wetread.measure.patch import PatchSource, cut_patch
from wetread.measure.thorax import LEFT, RIGHT
from wetread.measure.volume import measure_volume_mm3
from wetread.measure.zone import find_heights, measure_height

SHAPE = (44, 72, 72)
FINE = 3
LUNG_HU, SOLID_HU, GLASS_HU = -860.0, 30.0, -560.0


def directions(count: int) -> np.ndarray:
    """Unit vectors spread evenly over a sphere."""
    turn = np.pi * (1 + 5**0.5) * (np.arange(count) + 0.5)
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    wide = np.sqrt(1 - z**2)
    return np.stack([z, wide * np.sin(turn), wide * np.cos(turn)], axis=-1)


def paint(
    diameter_mm: float,
    *,
    glass_mm: float = 0.0,
    strands: int = 0,
    vessel_mm: float = 0.0,
    step_mm: float = 1.0,
    noise_hu: float = 20.0,
) -> PatchSource:
    """A ball in lung, blurred and noisy; around it ground glass, strands of 1.2 mm, or a vessel."""
    spacing = (step_mm, 0.7, 0.7)
    lines = [
        ((np.arange(size * FINE) + 0.5) / FINE - size / 2) * mm
        for size, mm in zip(SHAPE, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*lines, indexing="ij", sparse=True)
    away = np.sqrt(z**2 + y**2 + x**2)
    hu = np.full(away.shape, LUNG_HU, dtype=np.float32)
    if glass_mm:
        hu[away <= glass_mm / 2] = GLASS_HU
    solid = away <= diameter_mm / 2
    for dz, dy, dx in directions(strands) if strands else ():
        along = z * dz + y * dy + x * dx
        aside = np.sqrt(np.maximum(away**2 - along**2, 0.0))
        solid |= (aside <= 0.6) & (along > 0) & (along <= diameter_mm / 2 + 4.0)
    if vessel_mm:
        solid |= (np.sqrt(z**2 + y**2) + 0.0 * x <= vessel_mm / 2) & (x > 0)
    hu[solid] = SOLID_HU
    blocks = hu.reshape(SHAPE[0], FINE, SHAPE[1], FINE, SHAPE[2], FINE).mean(axis=(1, 3, 5))
    blurred = ndimage.gaussian_filter(blocks, [0.55 / mm for mm in spacing])
    noisy = blurred + np.random.default_rng(0).normal(0.0, noise_hu, SHAPE)
    grid = Grid(
        shape=SHAPE,
        spacing_mm=spacing,
        origin_lps_mm=(0, 0, 0),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    volume = Volume(voxels=np.rint(noisy).astype(np.int16), grid=grid)
    coarse = shrink(volume, 2.0)
    return PatchSource(volume=volume, coarse=coarse, closed=np.ones(coarse.voxels.shape, dtype=np.uint8))


def form_of(source: PatchSource, radius_mm: float):
    center = tuple(size / 2 - 0.5 for size in SHAPE)
    patch = cut_patch(source, center, 2.2 * radius_mm + 5.0, max(0.4, radius_mm / 9.0))
    outline = outline_nodule(patch, radius_mm)
    field = surface_field(patch, outline, measure_volume_mm3(patch, outline))
    return measure_form(patch, outline, field), outline


@pytest.mark.parametrize("diameter_mm", [8.0, 12.0, 16.0])
def test_a_smooth_nodule_has_no_strands(diameter_mm: float) -> None:
    form, _ = form_of(paint(diameter_mm), diameter_mm / 2)
    assert form.strands == 0
    assert form.spiculated_percent == 0.0
    assert form.solid_volume_mm3 is None


@pytest.mark.parametrize("count", [6, 14])
def test_strands_are_counted(count: int) -> None:
    form, _ = form_of(paint(12.0, strands=count), 6.0)
    assert form.strands == pytest.approx(count, abs=max(1, count // 6))
    few, _ = form_of(paint(12.0, strands=3), 6.0)
    assert form.spiculated_percent > few.spiculated_percent > 0.0


def test_a_vessel_is_no_strand() -> None:
    form, _ = form_of(paint(12.0, vessel_mm=4.0), 6.0)
    assert form.strands == 0


def test_noise_is_no_strand() -> None:
    form, _ = form_of(paint(12.0, noise_hu=60.0), 6.0)
    assert form.strands <= 1
    assert form.spiculated_percent < 1.0


def test_thick_planes_say_nothing_of_strands() -> None:
    form, _ = form_of(paint(12.0, strands=14, step_mm=2.5), 6.0)
    assert form.strands is None
    assert form.spiculated_percent is None


@pytest.mark.parametrize(("core_mm", "glass_mm"), [(6.0, 16.0), (8.0, 18.0), (10.0, 20.0)])
def test_the_solid_part_is_measured(core_mm: float, glass_mm: float) -> None:
    form, outline = form_of(paint(core_mm, glass_mm=glass_mm), glass_mm / 2)
    assert outline.texture is Texture.PART_SOLID
    true_mm3 = np.pi / 6 * core_mm**3
    assert form.solid_volume_mm3 == pytest.approx(true_mm3, rel=0.2)
    assert form.solid_mean_diameter_mm == pytest.approx(core_mm, abs=0.8)


@pytest.mark.parametrize(("diameter_mm", "glass_mm"), [(12.0, 0.0), (0.0, 14.0)])
def test_what_is_not_part_solid_has_none(diameter_mm: float, glass_mm: float) -> None:
    form, outline = form_of(paint(diameter_mm, glass_mm=glass_mm), max(diameter_mm, glass_mm) / 2)
    assert outline.texture is not Texture.PART_SOLID
    assert form.solid_volume_mm3 is form.solid_mean_diameter_mm is None


def test_heights_go_from_base_to_apex_by_lung() -> None:
    labels = np.zeros((60, 20, 20), dtype=np.uint8)
    labels[5:56, 5:15, 2:9] = RIGHT
    labels[15:46, 5:15, 11:18] = LEFT
    heights = find_heights(labels, 1.0)
    assert heights == {RIGHT: (5, 55), LEFT: (15, 45)}
    assert measure_height(heights, RIGHT, 5.0) == 0.0
    assert measure_height(heights, RIGHT, 55.0) == 100.0
    assert measure_height(heights, LEFT, 35.0) == pytest.approx(200 / 3)
    assert measure_height({RIGHT: (5, 55)}, LEFT, 20.0) is None


def test_of_lungs_that_are_cut_off_no_height_is_told() -> None:
    labels = np.zeros((60, 40, 40), dtype=np.uint8)
    labels[0:50, 5:35, 2:18] = RIGHT
    assert find_heights(labels, 1.0) == {}
