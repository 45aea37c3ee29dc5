"""Clusters whose sizes are known give the slope that they were made with."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.measure.texture.phantom import volume_of
from wetread.measure.coarse import shrink
from wetread.measure.emphysema import count_clusters, fit_slope, measure_emphysema
from wetread.measure.lungs import segment_lungs
from wetread.measure.orientation import to_upright
from wetread.measure.thorax import LEFT, RIGHT, find_thorax
from wetread.phantom import PhantomOptions, ScannerOptions, make_visit

LUNG_HU, LOW_HU = -850, -980


def lung_with(clusters: dict[int, int], columns: int) -> np.ndarray:
    """Return a block of lung with bars of these lengths that do not touch, {length: number}."""
    lengths = [length for length, number in clusters.items() for _ in range(number)]
    bars_in_row = {length: columns // (length + 1) for length in clusters}
    rows: list[list[int]] = []
    for length in clusters:
        own = [one for one in lengths if one == length]
        per_row = bars_in_row[length]
        rows += [own[start : start + per_row] for start in range(0, len(own), per_row)]
    image = np.full((3, 2 * len(rows) + 1, columns), LUNG_HU, np.int16)
    for place, row in enumerate(rows):
        at = 0
        for length in row:
            image[1, 2 * place + 1, at : at + length] = LOW_HU
            at += length + 1
    return image


#: N(at least 4**k) = 8**(3 - k): the slope is log 8 / log 4 = 1.5.
THREE_HALVES = {64: 1, 16: 7, 4: 56, 1: 448}
#: N(at least 2**k) = 2**(5 - k): the slope is 1.
ONE = {32: 1, 16: 1, 8: 2, 4: 4, 2: 8, 1: 16}


@pytest.mark.parametrize(("clusters", "slope"), [(THREE_HALVES, 1.5), (ONE, 1.0)])
def test_the_slope_is_that_of_the_clusters(clusters: dict[int, int], slope: float) -> None:
    image = lung_with(clusters, 70)
    found = measure_emphysema(
        volume_of(image, (1.0, 0.5, 0.5)), np.full(image.shape, RIGHT, np.uint8), (RIGHT,)
    )
    voxels = sum(length * number for length, number in clusters.items())
    assert found is not None
    assert found.clusters == sum(clusters.values())
    assert found.cluster_slope == pytest.approx(slope)
    assert found.cluster_fit_r2 == pytest.approx(1)
    assert found.laa950_percent == pytest.approx(100 * voxels / image.size)
    assert found.volume_ml == pytest.approx(image.size * 0.25 / 1000)
    assert found.largest_cluster_ml == pytest.approx(max(clusters) * 0.25 / 1000)


def test_emphysema_that_runs_together_has_a_smaller_slope() -> None:
    steep, _ = fit_slope(count_clusters(lung_with(THREE_HALVES, 70) == LOW_HU))
    image = lung_with(THREE_HALVES, 70) == LOW_HU
    # Every second gap between rows is closed: bars beside each other become one.
    image[1, 2:-1:4] = image[1, 1:-2:4] & image[1, 3::4]
    flat, _ = fit_slope(count_clusters(image))
    assert steep is not None
    assert flat is not None
    assert flat < steep


def test_each_lung_by_itself() -> None:
    image = lung_with(ONE, 40)
    both = np.concatenate([image, np.full(image.shape, LUNG_HU, np.int16)], axis=2)
    labels = np.full(both.shape, RIGHT, np.uint8)
    labels[..., 40:] = LEFT
    volume = volume_of(both)
    right = measure_emphysema(volume, labels, (RIGHT,))
    left = measure_emphysema(volume, labels, (LEFT,))
    together = measure_emphysema(volume, labels, (RIGHT, LEFT))
    assert right is not None
    assert left is not None
    assert together is not None
    assert right.clusters == together.clusters == 32
    assert together.laa950_percent == pytest.approx(right.laa950_percent / 2)
    assert (left.laa950_percent, left.clusters, left.largest_cluster_ml) == (0, 0, 0)
    assert left.cluster_slope is None


def test_clusters_do_not_leave_the_lung() -> None:
    image = np.full((1, 1, 7), LOW_HU, np.int16)
    labels = np.array([[[1, 1, 0, 1, 2, 2, 1]]], np.uint8)
    found = measure_emphysema(volume_of(image), labels, (1,))
    assert found is not None
    assert (found.clusters, found.laa950_percent) == (3, 100)


@pytest.mark.parametrize("hu", [-950.0, -949.0])
def test_at_950_is_not_below(hu: float) -> None:
    found = measure_emphysema(volume_of(np.full((2, 2, 2), hu)), np.ones((2, 2, 2), np.uint8), (1,))
    assert found is not None
    assert found.laa950_percent == 0


def test_no_lung_no_answer() -> None:
    assert measure_emphysema(volume_of(np.zeros((2, 2, 2))), np.zeros((2, 2, 2), np.uint8), (1, 2)) is None


def test_three_sizes_by_hand() -> None:
    # N(>= 1) = 4, N(>= 10) = 2, N(>= 100) = 1: log10 falls by log10 2 twice.
    slope, fit = fit_slope(np.array([1, 1, 10, 100]))
    assert slope == pytest.approx(np.log10(2))
    assert fit == pytest.approx(1)
    assert fit_slope(np.array([1, 1, 10])) == (None, None)


def test_a_synthetic_patient_with_holes_in_one_lung() -> None:
    """Holes of sizes that follow a power law, cut into the right lung of a phantom, found in its lungs."""
    scanner = ScannerOptions(matrix=160, spacing_mm=2.2, step_mm=4.0, thickness_mm=4.0, dose_mgy=0.0)
    visit = make_visit(PhantomOptions(seed=4, scanner=scanner, nodules=()))
    upright, _ = to_upright(visit.volume)
    coarse = shrink(upright, 4.0)
    thorax = find_thorax(coarse)
    assert thorax is not None
    lungs = segment_lungs(upright, coarse, thorax)
    image = np.maximum(upright.voxels, -940)
    sizes = [size for size, number in ONE.items() for _ in range(number)]
    shapes = {32: (2, 4, 4), 16: (2, 2, 4), 8: (2, 2, 2), 4: (1, 2, 2), 2: (1, 1, 2), 1: (1, 1, 1)}
    room = find_places(lungs == RIGHT, len(sizes))
    for size, (plane, row, column) in zip(sizes, room, strict=True):
        height, depth, width = shapes[size]
        image[plane : plane + height, row : row + depth, column : column + width] = LOW_HU
    volume = replace(upright, voxels=image)
    right = measure_emphysema(volume, lungs, (RIGHT,))
    left = measure_emphysema(volume, lungs, (LEFT,))
    assert right is not None
    assert left is not None
    assert right.clusters == len(sizes)
    assert right.cluster_slope == pytest.approx(1.0)
    assert right.laa950_percent == pytest.approx(100 * sum(sizes) / np.count_nonzero(lungs == RIGHT))
    assert (left.clusters, left.laa950_percent) == (0, 0)


def find_places(lung: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Return corners of cubes of four voxels that lie inside the lung, with room between them."""
    deep = ndimage.minimum_filter(lung, size=4, origin=-2, mode="constant")
    grid = np.zeros(lung.shape, bool)
    grid[::5, ::5, ::5] = True
    return [tuple(int(one) for one in place) for place in np.argwhere(deep & grid)][:count]
