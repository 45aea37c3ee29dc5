from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from wetread.phantom.distance import REACH_MM, cut, ellipsoid, smooth_max, smooth_min, superellipse, tube


def points(turn_deg: float = 0.0) -> np.ndarray:
    line = np.arange(-60.0, 60.0, 2.0, dtype=np.float32)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    grid = np.stack([x, y, z], axis=-1)
    return (grid @ Rotation.from_euler("xyz", [turn_deg] * 3, degrees=True).as_matrix()).astype(np.float32)


@pytest.mark.parametrize("turn_deg", [0.0, 35.0])
def test_sphere_and_tube_are_exact_within_reach_wherever_the_grid_points(turn_deg: float) -> None:
    grid = points(turn_deg)
    radius = np.linalg.norm(grid - np.array([5.0, -4.0, 3.0], dtype=np.float32), axis=-1)
    expected = cut(radius - 22)
    assert np.abs(cut(ellipsoid(grid, (5, -4, 3), (22, 22, 22))) - expected)[radius > 1].max() < 1e-3
    assert np.abs(cut(tube(grid, [(5, -4, 3), (5, -4, 3.001)], 22.0)) - expected).max() < 1e-2


def test_tube_follows_its_path_and_tapers() -> None:
    path, radii = [(-40, 0, 0), (0, 0, 0), (0, 40, 0)], [2.0, 4.0, 6.0]
    found = tube(points(), path, radii)
    at = tuple(np.argwhere(np.all(np.abs(points() - [-20, 6, 0]) < 1e-3, axis=-1))[0])
    assert found[at] == pytest.approx(3.0, abs=1e-3)


def test_superellipse_is_a_circle_for_power_two() -> None:
    x = np.linspace(-9.0, 9.0, 40, dtype=np.float32)
    assert superellipse(x, np.zeros_like(x) + 0.01, 6.0, 6.0, 2.0) == pytest.approx(np.abs(x) - 6, abs=0.05)


def test_fillets_only_add_near_the_edge() -> None:
    first, second = np.float32([0.0, 5.0, -3.0]), np.float32([0.0, -5.0, 30.0])
    assert smooth_min(first, second, 4.0) == pytest.approx([-1.0, -5.0, -3.0])
    assert smooth_max(first, second, 4.0) == pytest.approx([1.0, 5.0, 30.0])


def test_distances_are_cut_at_reach() -> None:
    assert cut(np.float32([-99.0, 1.0, 99.0])) == pytest.approx([-REACH_MM, 1.0, REACH_MM])
