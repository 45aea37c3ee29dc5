"""The digital phantom of the IBSI, and what the reference manual says of it.

The voxels were written down from memory; that they are right is shown by the matrices and values that the
manual publishes (arXiv:1612.07003, chapters 3, 5 and 6; github.com/theibsi/ibsi-doc), which the tests
compare.
The phantom and the manual are licensed CC BY 4.0. Values are as published, three digits mostly.
"""

from __future__ import annotations

import numpy as np

from wetread.domain.mask import Mask
from wetread.domain.volume import Grid, Volume
from wetread.measure.texture import glrlm, glszm, ngldm, ngtdm

#: 0 stands for what is not in the region.
LEVELS = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)

#: Of each slice the pairs in the four directions within it, and back: manual, chapter 6, "2D, merged".
PAIRS_OF_SLICES = (
    {(1, 1): 22, (1, 4): 17, (1, 6): 6, (4, 4): 16, (4, 6): 11, (6, 6): 4},
    {
        **{(1, 1): 42, (1, 3): 5, (1, 4): 8, (1, 6): 8, (3, 4): 1, (3, 6): 2, (4, 4): 4, (4, 6): 3},
    },
    {(1, 1): 56, (1, 4): 7, (1, 6): 4, (4, 4): 2},
    {(1, 1): 70, (1, 4): 7, (1, 6): 5, (4, 4): 2},
)

FIRST_ORDER = {
    "mean": 2.15,
    "variance": 3.05,
    "skewness": 1.08,
    "excess_kurtosis": -0.355,
    "median": 1,
    "minimum": 1,
    "percentile_10": 1,
    "percentile_90": 4,
    "maximum": 6,
    "interquartile_range": 3,
    "range": 5,
    "mean_absolute_deviation": 1.55,
    "robust_mean_absolute_deviation": 1.11,
    "median_absolute_deviation": 1.15,
    "coefficient_of_variation": 0.812,
    "quartile_coefficient_of_dispersion": 0.6,
    "energy": 567,
    "root_mean_square": 2.77,
    "discretised_entropy": 1.27,
    "discretised_uniformity": 0.512,
}

#: Value and the tolerance that the manual allows.
SHAPE = {
    "volume_mesh": (556, 4),
    "volume_voxels": (592, 4),
    "surface_area": (388, 3),
    "surface_to_volume_ratio": (0.698, 0.004),
    "compactness_1": (0.0411, 0.0003),
    "compactness_2": (0.599, 0.004),
    "spherical_disproportion": (1.19, 0.01),
    "sphericity": (0.843, 0.005),
    "asphericity": (0.186, 0.001),
    "centre_of_mass_shift": (0.672, 0.004),
    "maximum_3d_diameter": (13.1, 0.1),
    "major_axis_length": (11.4, 0.1),
    "minor_axis_length": (9.31, 0.06),
    "least_axis_length": (8.54, 0.05),
    "elongation": (0.816, 0.005),
    "flatness": (0.749, 0.005),
    "volume_density_aligned_box": (0.869, 0.005),
    "area_density_aligned_box": (0.866, 0.005),
    "volume_density_ellipsoid": (1.17, 0.01),
    "volume_density_convex_hull": (0.961, 0.006),
    "area_density_convex_hull": (1.03, 0.01),
    "integrated_intensity": (1200, 10),
}

#: 3D, averaged; 3D, merged.
GLCM = {
    "joint_maximum": (0.503, 0.509),
    "joint_average": (2.14, 2.15),
    "joint_variance": (3.1, 3.13),
    "joint_entropy": (2.4, 2.57),
    "difference_average": (1.43, 1.38),
    "difference_variance": (3.06, 3.21),
    "difference_entropy": (1.56, 1.64),
    "sum_average": (4.29, 4.3),
    "sum_variance": (7.07, 7.41),
    "sum_entropy": (1.92, 2.11),
    "angular_second_moment": (0.303, 0.291),
    "contrast": (5.32, 5.12),
    "dissimilarity": (1.43, 1.38),
    "inverse_difference": (0.677, 0.688),
    "normalised_inverse_difference": (0.851, 0.856),
    "inverse_difference_moment": (0.618, 0.631),
    "normalised_inverse_difference_moment": (0.898, 0.902),
    "inverse_variance": (0.0604, 0.0574),
    "correlation": (0.157, 0.183),
    "autocorrelation": (5.06, 5.19),
    "cluster_tendency": (7.07, 7.41),
    "cluster_shade": (16.6, 17.4),
    "cluster_prominence": (145, 147),
    "information_correlation_1": (-0.157, -0.0288),
    "information_correlation_2": (0.52, 0.269),
}

#: 3D, averaged; 3D, merged.
GLRLM = {
    "short_runs_emphasis": (0.705, 0.729),
    "long_runs_emphasis": (3.06, 2.76),
    "low_grey_level_run_emphasis": (0.603, 0.607),
    "high_grey_level_run_emphasis": (9.7, 9.64),
    "short_run_low_grey_level_emphasis": (0.352, 0.372),
    "short_run_high_grey_level_emphasis": (8.54, 8.67),
    "long_run_low_grey_level_emphasis": (2.39, 2.16),
    "long_run_high_grey_level_emphasis": (17.6, 15.6),
    "grey_level_non_uniformity": (21.8, 281),
    "normalised_grey_level_non_uniformity": (0.43, 0.43),
    "run_length_non_uniformity": (26.9, 328),
    "normalised_run_length_non_uniformity": (0.513, 0.501),
    "run_percentage": (0.68, 0.68),
    "grey_level_variance": (3.46, 3.48),
    "run_length_variance": (0.574, 0.598),
    "run_entropy": (2.43, 2.62),
}

GLSZM = dict(
    zip(
        glszm.NAMES,
        (0.255, 550, 0.253, 15.6, 0.0256, 2.76, 503, 1490, 1.4, 0.28, 1, 0.2, 0.0676, 2.64, 331, 2.32),
        strict=True,
    )
)

NGLDM = dict(
    zip(
        ngldm.NAMES,
        (
            *(0.045, 109, 0.693, 7.66, 0.00963, 0.736, 102, 235, 37.9, 0.512, 4.86, 0.0657),
            *(1, 3.05, 22.1, 4.4, 0.0533),
        ),
        strict=True,
    )
)

NGTDM = dict(zip(ngtdm.NAMES, (0.0296, 0.584, 6.54, 13.5, 0.763), strict=True))

assert set(GLRLM) == set(glrlm.NAMES)


def volume_of(voxels, spacing_mm=(2.0, 2.0, 2.0)) -> Volume:
    """Return a volume of an array (planes, rows, columns)."""
    array = np.array(voxels)
    grid = Grid(
        shape=array.shape,
        spacing_mm=spacing_mm,
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    return Volume(voxels=array, grid=grid)


def phantom() -> tuple[Volume, Mask]:
    """Return the phantom and its region."""
    return volume_of(LEVELS), Mask.from_array(LEVELS > 0)
