"""Overlap and surfaces of masks: against MONAI, spheres, and by hand."""

import math
from typing import Any

import numpy as np
import pytest

from wetread.stats.overlap import measure_overlap
from wetread.stats.surface import find_surface, measure_surfaces

monai_metrics: Any = pytest.importorskip("monai.metrics")
torch: Any = pytest.importorskip("torch")


def blobs(seed: int, shape: tuple[int, ...] = (14, 30, 28)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    masks = []
    for _ in range(2):
        mask = np.zeros(shape, bool)
        for _ in range(3):
            center = [rng.uniform(0, size) for size in shape]
            radius = rng.uniform(3, 7)
            mask |= sum((axis - at) ** 2 for axis, at in zip(grid, center, strict=True)) < radius**2
        masks.append(mask)
    return masks[0], masks[1] | (masks[0] & (rng.random(shape) < 0.8))


def to_monai(mask: np.ndarray) -> Any:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.7)])
def test_surfaces_as_monai_has_them(seed: int, spacing: tuple[float, float, float]) -> None:
    predicted, true = blobs(seed)
    ours = measure_surfaces(predicted, true, spacing)
    pair = {"y_pred": to_monai(predicted), "y": to_monai(true), "spacing": spacing}
    for percentile in (95, 100):
        theirs = monai_metrics.compute_hausdorff_distance(
            **pair, include_background=True, percentile=percentile
        )
        assert ours.hausdorff_mm(percentile) == pytest.approx(float(theirs), abs=1e-4)
    for tolerance in (1.0, 2.0):
        theirs = monai_metrics.compute_surface_dice(
            **pair, class_thresholds=[tolerance], include_background=True
        )
        assert ours.dice(tolerance) == pytest.approx(float(theirs), abs=1e-6)
        limited = measure_surfaces(predicted, true, spacing, limit_mm=tolerance)
        assert limited.dice(tolerance) == ours.dice(tolerance)


@pytest.mark.parametrize("limit_mm", [0.0, 0.9, 3.0, 9.0])
def test_distances_beyond_the_limit_are_not_looked_for(limit_mm: float) -> None:
    predicted, true = blobs(1)
    whole = measure_surfaces(predicted, true, (2.0, 0.7, 0.9)).from_predicted_mm
    limited = measure_surfaces(predicted, true, (2.0, 0.7, 0.9), limit_mm).from_predicted_mm
    assert limited == pytest.approx(np.where(whole <= limit_mm + 1e-12, whole, np.inf))


@pytest.mark.parametrize("seed", range(3))
def test_overlap_as_monai_has_it(seed: int) -> None:
    predicted, true = blobs(seed)
    overlap = measure_overlap(predicted, true)
    pair = {"y_pred": to_monai(predicted), "y": to_monai(true)}
    assert overlap.dice == pytest.approx(float(monai_metrics.compute_dice(**pair)))
    assert overlap.iou == pytest.approx(float(monai_metrics.compute_iou(**pair)))


def test_flat_masks() -> None:
    predicted, true = (mask[7] for mask in blobs(2))
    theirs = monai_metrics.compute_hausdorff_distance(
        y_pred=to_monai(predicted), y=to_monai(true), include_background=True, spacing=(0.5, 2.0)
    )
    assert measure_surfaces(predicted, true, (0.5, 2.0)).hausdorff_mm() == pytest.approx(float(theirs))


def test_spheres_of_two_sizes() -> None:
    grid = np.indices((61, 61, 61)) - 30
    far = np.sqrt((grid**2).sum(axis=0))
    found = measure_surfaces(far <= 20, far <= 25, (0.8, 0.8, 0.8))
    assert found.hausdorff_mm() == pytest.approx(4.0, abs=0.8)
    assert found.dice(3.0) < 0.1
    assert found.dice(4.9) == 1.0
    overlap = measure_overlap(far <= 20, far <= 25)
    assert overlap.volume_bias == pytest.approx((20 / 25) ** 3 - 1, abs=0.02)


def test_the_surface_is_what_touches_the_outside() -> None:
    mask = np.zeros((6, 7, 8), bool)
    mask[1:5, 1:6, 2:7] = True
    assert len(find_surface(mask)) == 4 * 5 * 5 - 2 * 3 * 3
    # The border of the array is outside as well.
    assert len(find_surface(np.ones((3, 3, 3), bool))) == 26


def test_what_is_empty_has_no_score() -> None:
    nothing, something = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    something[1:3, 1:3, 1:3] = True
    assert math.isnan(measure_overlap(something, nothing).dice)
    assert measure_overlap(nothing, something).dice == 0.0
    assert measure_overlap(nothing, something).volume_bias == -1.0
    assert math.isnan(measure_surfaces(nothing, something).hausdorff_mm())
    assert measure_surfaces(nothing, something).dice(1.0) == 0.0
    assert math.isnan(measure_surfaces(nothing, nothing).dice(1.0))
    with pytest.raises(ValueError, match="one shape"):
        measure_overlap(nothing, something[1:])


def test_equal_masks() -> None:
    mask, _ = blobs(0)
    found = measure_surfaces(mask, mask)
    assert (found.hausdorff_mm(), found.dice(0.0)) == (0.0, 1.0)
