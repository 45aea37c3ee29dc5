import numpy as np
import pytest
from scipy import ndimage

from wetread.domain.volume import Grid, Volume
from wetread.measure.coarse import shrink
from wetread.measure.patch import PatchSource

SPACING_MM = (1.25, 0.7, 0.7)
SHAPE = (40, 72, 72)


@pytest.fixture
def paint_ball():
    """A ball in lung, blurred and noisy, with the lungs closed around all of it."""

    def paint(diameter_mm, hu, center=(20.3, 35.6, 36.2), lung_hu=-860.0, vessel_mm=0.0):
        fine = 3
        places = [
            ((np.arange(size * fine) + 0.5) / fine - 0.5 - at) * step
            for size, at, step in zip(SHAPE, center, SPACING_MM, strict=True)
        ]
        distance = np.sqrt(sum(one**2 for one in np.meshgrid(*places, indexing="ij", sparse=True)))
        share = distance <= diameter_mm / 2
        if vessel_mm:
            rows = places[1][None, :, None] ** 2 + places[0][:, None, None] ** 2
            share = share | (rows <= (vessel_mm / 2) ** 2)
        blocks = share.reshape(SHAPE[0], fine, SHAPE[1], fine, SHAPE[2], fine).mean(axis=(1, 3, 5))
        blurred = ndimage.gaussian_filter(blocks, [0.55 / step for step in SPACING_MM])
        noise = np.random.default_rng(0).normal(0, 20, SHAPE)
        voxels = np.rint(lung_hu + (hu - lung_hu) * blurred + noise).astype(np.int16)
        grid = Grid(
            shape=SHAPE,
            spacing_mm=SPACING_MM,
            origin_lps_mm=(0, 0, 0),
            directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
        )
        volume = Volume(voxels=voxels, grid=grid)
        coarse = shrink(volume, 2.0)
        closed = np.ones(coarse.voxels.shape, dtype=np.uint8)
        return PatchSource(volume=volume, coarse=coarse, closed=closed), center

    return paint
