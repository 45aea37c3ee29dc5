from __future__ import annotations

import numpy as np
import pytest

from wetread.phantom.options import PatientPosition, ScannerOptions, VisitOptions
from wetread.phantom.space import SCAN_MIDDLE_MM, Motion, Waves, coarse_grid, grid_points, make_grid


@pytest.mark.parametrize("position", list(PatientPosition))
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (12.0, -7.0)])
def test_grid_is_right_handed_and_centred(position: PatientPosition, tilt: tuple[float, float]) -> None:
    scanner = ScannerOptions(patient_position=position, tilt_deg=tilt, matrix=64, spacing_mm=5.0)
    grid = make_grid(scanner, 1.0)
    plane, row, column = (np.array(direction) for direction in grid.directions)
    assert np.cross(column, row) == pytest.approx(plane)
    middle = grid.to_lps_mm((np.array(grid.shape) - 1) / 2)
    assert middle == pytest.approx([0.0, 0.0, SCAN_MIDDLE_MM], abs=1e-9)


def test_coarse_grid_covers_and_points_follow() -> None:
    grid = make_grid(ScannerOptions(matrix=64, spacing_mm=3.0, length_mm=50.0, tilt_deg=(9.0, 4.0)), 1.0)
    coarse = coarse_grid(grid)
    corners = grid.to_lps_mm([[0, 0, 0], np.array(grid.shape) - 1])
    index = coarse.to_index(corners)
    assert np.all(index >= 1)
    assert np.all(index <= np.array(coarse.shape) - 2)
    assert grid_points(coarse)[3, 4, 5] == pytest.approx(coarse.to_lps_mm([3, 4, 5]), abs=1e-3)


def test_motion_goes_there_and_back() -> None:
    visit = VisitOptions(
        shift_mm=(5.0, -3.0, 8.0), rotation_deg=(2.0, -1.0, 3.0), breath_mm=12.0, deformation_mm=4.0
    )
    rng = np.random.default_rng(3)
    motion = Motion(visit=visit, scale=1.05, build=Waves.draw(5.0, rng), deformation=Waves.draw(4.0, rng))
    rest = np.random.default_rng(4).uniform(-120, 120, size=(200, 3))
    lps = motion.from_rest(rest)
    assert np.abs(motion.to_rest(lps.copy()) - rest).max() < 1e-4
    assert np.abs(lps - rest).max() > 5.0
