"""Emphysema by lung: how much, how low, in how large clusters.

In: a CT, a label per voxel.  Out: share below -950 HU, clusters of it, the slope of their sizes.
Never: a slope through fewer than three sizes; a verdict.

The number of clusters of at least X voxels falls as X to the power of -D (Mishima et al. 1999,
doi:10.1073/pnas.96.16.8829): where emphysema grows, clusters run together and D becomes smaller, before the
share below -950 HU grows much. Mishima counted pixels of a slice; here it is voxels that touch at a face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Volume
from wetread.measure.thorax import Labels

#: Gevenois et al. 1996, doi:10.1164/ajrccm.154.1.8680679. Below it, not at it, as in ``lungs``.
LOW_HU = -950.0
_FEWEST_SIZES = 3
_PIECE = 1 << 22

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emphysema:
    """Of one lung, or of several labels together."""

    volume_ml: float
    #: Share of the voxels below -950 HU.
    laa950_percent: float
    #: Separate clusters of such voxels.
    clusters: int
    largest_cluster_ml: float
    #: D, above 0: the smaller, the more of it lies in large clusters. None: fewer than three sizes occur.
    cluster_slope: float | None
    #: Of the fit in log-log, 0 to 1; None as above.
    cluster_fit_r2: float | None


def measure_emphysema(volume: Volume, labels: Labels, wanted: tuple[int, ...]) -> Emphysema | None:
    """Measure what the labels ``wanted`` cover together; None where they cover nothing.

    Parameters
    ----------
    volume
        HU, in any orientation.
    labels
        Of its shape, e.g. of ``segment_lungs``.
    wanted
        Clusters do not cross between labels that are wanted and others.
    """
    inside = Mask.from_array(np.isin(labels, wanted))
    if not inside.voxel_count:
        return None
    low = inside.voxels & (volume.voxels[inside.box] < LOW_HU)
    sizes = count_clusters(low)
    slope, fit = fit_slope(sizes)
    voxel_ml = volume.grid.voxel_volume_mm3 / 1000
    return Emphysema(
        volume_ml=inside.voxel_count * voxel_ml,
        laa950_percent=100 * float(sizes.sum()) / inside.voxel_count,
        clusters=len(sizes),
        largest_cluster_ml=float(sizes.max(initial=0)) * voxel_ml,
        cluster_slope=slope,
        cluster_fit_r2=fit,
    )


def count_clusters(low: BoolArray) -> IntArray:
    """Return the size of each cluster of voxels that touch at a face."""
    labels, count = ndimage.label(low)
    sizes = np.zeros(count + 1, dtype=np.int64)
    flat = labels.ravel()
    # Piece by piece: counting makes its numbers wider.
    for start in range(0, flat.size, _PIECE):
        found = np.bincount(flat[start : start + _PIECE])
        sizes[: found.size] += found
    return sizes[1:]


def fit_slope(sizes: IntArray) -> tuple[float | None, float | None]:
    """Fit log N(at least X) = log K - D log X by least squares; return D and the fit's r squared.

    Each size that occurs is one point, as in Mishima et al.
    """
    size, number = np.unique(sizes, return_counts=True)
    if len(size) < _FEWEST_SIZES:
        return None, None
    at_least = number[::-1].cumsum()[::-1]
    x, y = np.log10(size.astype(np.float64)), np.log10(at_least.astype(np.float64))
    away, up = x - x.mean(), y - y.mean()
    slope = float(away @ up / (away @ away))
    return -slope, float((away @ up) ** 2 / ((away @ away) * (up @ up)))
