from __future__ import annotations

import numpy as np
import pytest

from wetread.phantom.options import Kernel, ScannerOptions
from wetread.phantom.scanner import Detector, fine_grid, slice_weights
from wetread.phantom.space import make_grid

FLAT = np.full((128, 128), 40.0, dtype=np.float32)


def scanner(**wishes: object) -> ScannerOptions:
    return ScannerOptions(matrix=128, spacing_mm=0.7, **wishes)  # type: ignore[arg-type]


def noise_hu(**wishes: object) -> float:
    return float(Detector(scanner(**wishes), [1]).expose(FLAT, 0).std())


def test_noise_falls_with_dose_and_thickness() -> None:
    usual = noise_hu(dose_mgy=4.0)
    assert noise_hu(dose_mgy=1.0) == pytest.approx(2 * usual, rel=0.05)
    assert noise_hu(dose_mgy=4.0, thickness_mm=5.0, step_mm=5.0) == pytest.approx(usual / 2, rel=0.08)
    assert (
        noise_hu(dose_mgy=4.0, kernel=Kernel.SHARP)
        > 2 * usual
        > 2 * noise_hu(dose_mgy=4.0, kernel=Kernel.SOFT)
    )
    assert noise_hu(dose_mgy=0.0) == 0.0


def test_overlapping_slices_share_noise_and_distant_ones_do_not() -> None:
    detector = Detector(scanner(thickness_mm=2.5, step_mm=1.25), [1])
    first, second, far = (detector.expose(FLAT, number).ravel() for number in (0, 1, 9))
    assert np.corrcoef(first, second)[0, 1] > 0.2
    assert abs(np.corrcoef(first, far)[0, 1]) < 0.05


def test_noise_is_the_same_for_the_same_seed_only() -> None:
    first, again, other = (Detector(scanner(), [seed]).expose(FLAT, 3) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_blur_keeps_the_sum_and_sharp_kernels_overshoot() -> None:
    disc = np.full((128, 128), -850.0, dtype=np.float32)
    disc[50:70, 50:70] = 50.0
    soft = Detector(scanner(dose_mgy=0.0, kernel=Kernel.SOFT), [1]).expose(disc, 0)
    sharp = Detector(scanner(dose_mgy=0.0, kernel=Kernel.SHARP), [1]).expose(disc, 0)
    assert soft.sum() == pytest.approx(disc.sum(), rel=1e-4)
    assert sharp.sum() == pytest.approx(disc.sum(), rel=1e-4)
    assert sharp.max() > 60
    assert soft.max() <= 51


def test_calibration_error_is_applied() -> None:
    measured = Detector(scanner(dose_mgy=0.0, hu_slope=1.02, hu_offset=-5.0), [1]).expose(FLAT, 0)
    assert np.all(np.abs(measured - (1.02 * 1040 - 1000 - 5)) <= 1)


@pytest.mark.parametrize(("thickness_mm", "step_mm"), [(1.25, 1.25), (2.5, 1.25), (5.0, 5.0), (1.0, 0.7)])
def test_slice_profile_has_the_wished_width(thickness_mm: float, step_mm: float) -> None:
    wished = scanner(thickness_mm=thickness_mm, step_mm=step_mm)
    fine, per_slice, lead = fine_grid(make_grid(wished, 1.0), wished)
    step = fine.spacing_mm[0]
    weights = slice_weights(step, lead, wished)
    offsets = np.arange(-lead, lead + 1) * step
    width = 2.3548 * np.sqrt(float(weights @ offsets**2) + step**2 / 12)
    assert per_slice * step == pytest.approx(step_mm)
    assert weights.sum() == pytest.approx(1.0, rel=1e-5)
    assert width == pytest.approx(thickness_mm, rel=0.05)
