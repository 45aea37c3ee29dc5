import numpy as np
import pytest

from wetread.measure.diameter import measure_axes


def _ellipse(long_mm, short_mm, angle_deg, spacing_mm=0.5, size=81):
    axis = (np.arange(size) - size // 2) * spacing_mm
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    angle = np.deg2rad(angle_deg)
    u = rows * np.cos(angle) + columns * np.sin(angle)
    v = -rows * np.sin(angle) + columns * np.cos(angle)
    return (np.hypot(u / (long_mm / 2), v / (short_mm / 2)) - 1) * short_mm / 2 / spacing_mm


@pytest.mark.parametrize("angle_deg", [0, 17, 45, 90])
def test_axes_of_an_ellipse(angle_deg):
    axes = measure_axes(_ellipse(14.0, 9.0, angle_deg), 0.5)
    assert axes is not None
    assert axes.long_mm == pytest.approx(14.0, abs=0.15)
    assert axes.short_mm == pytest.approx(9.0, abs=0.25)
    assert axes.area_mm2 == pytest.approx(np.pi / 4 * 14 * 9, rel=0.03)
    assert axes.mean_mm == pytest.approx(11.5, abs=0.2)


def test_axes_stand_at_a_right_angle():
    axes = measure_axes(_ellipse(12.0, 7.0, 30), 0.5)
    assert axes is not None
    along = axes.long_points[1] - axes.long_points[0]
    across = axes.short_points[1] - axes.short_points[0]
    assert abs(along @ across) < 1e-6


def test_nothing_inside_gives_none():
    assert measure_axes(np.ones((9, 9)), 0.5) is None
