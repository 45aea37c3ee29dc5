"""The scanner: slice profile, blur, noise, calibration.

In: noise-free HU of fine planes, ``ScannerOptions``.  Out: int16 HU of slices.  Never: anatomy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from wetread.domain.volume import Grid
from wetread.phantom.distance import Float
from wetread.phantom.options import Kernel, ScannerOptions

#: Width (standard deviation, mm) of the point spread and edge enhancement of each kernel.
_BLUR = {Kernel.SOFT: (0.62, 0.0), Kernel.STANDARD: (0.46, 0.0), Kernel.SHARP: (0.32, 0.55)}
#: Noise in water at 5 mGy and 1.25 mm, HU.
_NOISE_HU = {Kernel.SOFT: 11.0, Kernel.STANDARD: 16.0, Kernel.SHARP: 38.0}
_FWHM = 2.3548


def fine_grid(grid: Grid, scanner: ScannerOptions) -> tuple[Grid, int, int]:
    """Return the grid on which anatomy is evaluated, planes per slice and planes before the first."""
    finest = max(0.7, 0.95 * scanner.spacing_mm, scanner.thickness_mm / 4)
    per_slice = max(1, int(np.ceil(scanner.step_mm / finest)))
    step = scanner.step_mm / per_slice
    lead = int(np.ceil(1.3 * scanner.thickness_mm / step))
    planes = (grid.shape[0] - 1) * per_slice + 1 + 2 * lead
    origin = grid.to_lps_mm([-lead / per_slice, 0, 0])
    fine = Grid(
        shape=(planes, grid.shape[1], grid.shape[2]),
        spacing_mm=(step, grid.spacing_mm[1], grid.spacing_mm[2]),
        origin_lps_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        directions=grid.directions,
    )
    return fine, per_slice, lead


def slice_weights(step_mm: float, lead: int, scanner: ScannerOptions) -> Float:
    """Return the slice sensitivity profile at ``2 * lead + 1`` fine planes: Gaussian, sum 1."""
    # The planes' own extent counts: half of a plane's step is already averaged by coverage.
    variance = (scanner.thickness_mm / _FWHM) ** 2 - step_mm**2 / 12
    offsets = np.arange(-lead, lead + 1) * step_mm
    weights = np.exp(-(offsets**2) / (2 * max(variance, (0.25 * step_mm) ** 2)))
    profile: Float = (weights / weights.sum()).astype(np.float32)
    return profile


class Detector:
    """Blurs slices and adds noise; holds the filters and the last few planes of raw noise."""

    def __init__(self, scanner: ScannerOptions, seed: list[int]) -> None:
        self._scanner = scanner
        self._seed = seed
        frequency = _radial_frequency(scanner.matrix, scanner.spacing_mm)
        self._transfer = _transfer(frequency, scanner.kernel)
        self._grain = _grain(frequency, self._transfer, scanner.matrix)
        self._raw: dict[int, Float] = {}
        reach = scanner.thickness_mm / scanner.step_mm / _FWHM
        offsets = np.arange(-3, 4)
        weights = np.exp(-(offsets**2) / (2 * max(reach, 0.2) ** 2 / 2))
        #: Overlapping slices share photons, hence noise.
        self._shared = (weights / np.sqrt(np.sum(weights**2))).astype(np.float32)

    def expose(self, hu: Float, number: int) -> npt.NDArray[np.int16]:
        """Return the measured slice of noise-free HU, shape (rows, columns)."""
        spectrum = fft.rfft2(hu + np.float32(1000)) * self._transfer
        measured = fft.irfft2(spectrum, s=hu.shape)
        if self._scanner.dose_mgy > 0:
            noise = fft.irfft2(fft.rfft2(self._shared_noise(number)) * self._grain, s=hu.shape)
            measured = measured + noise * self._noise_hu(hu)
        scanner = self._scanner
        measured = scanner.hu_slope * measured + np.float32(scanner.hu_offset - 1000.0)
        slice_hu: npt.NDArray[np.int16] = np.clip(np.rint(measured), -1024, 3071).astype(np.int16)
        return slice_hu

    def _noise_hu(self, hu: Float) -> Float:
        """Return the noise level: more where more of the beam is absorbed, here by columns of body."""
        scanner = self._scanner
        level = _NOISE_HU[scanner.kernel] * np.sqrt(5.0 / scanner.dose_mgy * 1.25 / scanner.thickness_mm)
        dense = np.clip((hu + 1000) / 1000, 0, 2)
        path = dense.mean(axis=0, keepdims=True) + dense.mean(axis=1, keepdims=True)
        path = path * np.float32(scanner.matrix * scanner.spacing_mm / 360.0)
        local: Float = np.float32(level) * np.clip(0.35 + 0.75 * path, 0.4, 2.0).astype(np.float32)
        return local

    def _shared_noise(self, number: int) -> Float:
        planes = range(number - 3, number + 4)
        self._raw = {key: self._raw[key] if key in self._raw else self._draw(key) for key in planes}
        mixed = np.zeros_like(self._raw[number])
        for weight, key in zip(self._shared, planes, strict=True):
            if weight > 1e-3:
                mixed += weight * self._raw[key]
        return mixed

    def _draw(self, number: int) -> Float:
        rng = np.random.default_rng([*self._seed, number + 16])
        shape = (self._scanner.matrix, self._scanner.matrix)
        return rng.standard_normal(shape, dtype=np.float32)


def _radial_frequency(matrix: int, spacing_mm: float) -> Float:
    """Return cycles per mm of a half spectrum."""
    rows = fft.fftfreq(matrix, spacing_mm)[:, None]
    columns = fft.rfftfreq(matrix, spacing_mm)[None, :]
    radial: Float = np.sqrt(rows**2 + columns**2).astype(np.float32)
    return radial


def _transfer(frequency: Float, kernel: Kernel) -> Float:
    width_mm, boost = _BLUR[kernel]
    plain = np.exp(-2 * (np.pi * width_mm * frequency) ** 2)
    enhanced = 1 + boost * (1 - np.exp(-2 * (np.pi * 0.9 * frequency) ** 2))
    transfer: Float = (plain * enhanced).astype(np.float32)
    return transfer


def _grain(frequency: Float, transfer: Float, matrix: int) -> Float:
    """Return the noise filter of unit gain: ramp of the back projection times the kernel."""
    grain = np.sqrt(frequency / frequency.max() + 0.02) * transfer
    weight = np.full(frequency.shape[1], 2.0)
    weight[0] = 1.0
    if matrix % 2 == 0:
        weight[-1] = 1.0
    gain = np.sqrt(np.sum(grain**2 * weight) / matrix**2)
    unit: Float = (grain / gain).astype(np.float32)
    return unit
