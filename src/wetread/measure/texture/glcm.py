"""Grey level co-occurrence (IBSI LFYI).

In: a region.  Out: 25 numbers of how often two levels lie side by side, 13 directions, distance 1.
Never: a pair of which one voxel lies outside.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import FloatArray
from wetread.measure.texture.aggregate import Values, average
from wetread.measure.texture.entropy import measure_entropy
from wetread.measure.texture.neighbours import DIRECTIONS, shift
from wetread.measure.texture.region import Region
from wetread.measure.texture.settings import Aggregation

NAMES = {
    "joint_maximum": "GYBY",
    "joint_average": "60VM",
    "joint_variance": "UR99",
    "joint_entropy": "TU9B",
    "difference_average": "TF7R",
    "difference_variance": "D3YU",
    "difference_entropy": "NTRS",
    "sum_average": "ZGXS",
    "sum_variance": "OEEB",
    "sum_entropy": "P6QZ",
    "angular_second_moment": "8ZQL",
    "contrast": "ACUI",
    "dissimilarity": "8S9J",
    "inverse_difference": "IB1Z",
    "normalised_inverse_difference": "NDRX",
    "inverse_difference_moment": "WF0Z",
    "normalised_inverse_difference_moment": "1QCO",
    "inverse_variance": "E8JP",
    "correlation": "NI2N",
    "autocorrelation": "QWB0",
    "cluster_tendency": "DG8W",
    "cluster_shade": "7NFM",
    "cluster_prominence": "AE86",
    "information_correlation_1": "R8DG",
    "information_correlation_2": "JN9H",
}


def measure_glcm(region: Region, aggregation: Aggregation) -> Values:
    """Measure co-occurrence; every number is None where no two voxels of the region touch."""
    matrices = [count_pairs(region, direction) for direction in DIRECTIONS]
    matrices = [one for one in matrices if one.any()]
    if not matrices:
        return dict.fromkeys(NAMES)
    if aggregation is Aggregation.MERGED:
        matrices = [np.sum(matrices, axis=0)]
    return average([measure_matrix(one) for one in matrices])


def count_pairs(region: Region, direction: tuple[int, ...]) -> FloatArray:
    """Count the pairs of levels along a direction and back, shape (levels, levels)."""
    size = region.level_count + 1
    counts = np.zeros(size * size, dtype=np.int64)
    for first, second in zip(*shift(region.levels, direction), strict=True):
        pair = (first > 0) & (second > 0)
        keys = first[pair].astype(np.int64) * size + second[pair]
        if keys.size:
            found = np.bincount(keys)
            counts[: found.size] += found
    matrix = counts.reshape(size, size)[1:, 1:].astype(np.float64)
    return matrix + matrix.T


def measure_matrix(counts: FloatArray) -> Values:
    """Measure a symmetric matrix of counts, shape (levels, levels)."""
    joint = counts / counts.sum()
    found: Values = {
        **_measure_joint(joint),
        **_measure_difference(joint),
        **_measure_sum(joint),
        **_measure_information(joint),
    }
    found["dissimilarity"] = found["difference_average"]
    found["cluster_tendency"] = found["sum_variance"]
    return {name: found[name] for name in NAMES}


def _measure_joint(joint: FloatArray) -> Values:
    level = np.arange(1.0, len(joint) + 1)
    margin = joint.sum(axis=1)
    mean = float(margin @ level)
    variance = float(margin @ (level - mean) ** 2)
    # About the mean, since i j - mean^2 loses digits.
    covariance = float((level - mean) @ joint @ (level - mean))
    return {
        "joint_maximum": float(joint.max()),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": measure_entropy(joint),
        "angular_second_moment": float(np.sum(joint**2)),
        "autocorrelation": float(level @ joint @ level),
        "correlation": covariance / variance if np.count_nonzero(margin) > 1 else None,
    }


def _measure_difference(joint: FloatArray) -> Values:
    """Measure the probabilities of |i - j|."""
    size = len(joint)
    index = np.arange(size)
    apart = np.abs(index[:, None] - index)
    share = _bin(apart, joint, size)
    mean = float(share @ index)
    return {
        "difference_average": mean,
        "difference_variance": float(share @ (index - mean) ** 2),
        "difference_entropy": measure_entropy(share),
        "contrast": float(share @ index**2),
        "inverse_difference": float(np.sum(share / (1 + index))),
        "normalised_inverse_difference": float(np.sum(share / (1 + index / size))),
        "inverse_difference_moment": float(np.sum(share / (1 + index**2))),
        "normalised_inverse_difference_moment": float(np.sum(share / (1 + (index / size) ** 2))),
        "inverse_variance": float(np.sum(share[1:] / index[1:] ** 2)),
    }


def _measure_sum(joint: FloatArray) -> Values:
    """Measure the probabilities of i + j."""
    index = np.arange(1, len(joint) + 1)
    share = _bin(index[:, None] + index, joint, 2 * len(joint) + 1)
    total = np.arange(len(share))
    mean = float(share @ total)
    away = total - mean
    return {
        "sum_average": mean,
        "sum_variance": float(share @ away**2),
        "sum_entropy": measure_entropy(share),
        "cluster_shade": float(share @ away**3),
        "cluster_prominence": float(share @ away**4),
    }


def _bin(place: npt.NDArray[np.int64], joint: FloatArray, size: int) -> FloatArray:
    return np.asarray(np.bincount(place.ravel(), weights=joint.ravel(), minlength=size), dtype=np.float64)


def _measure_information(joint: FloatArray) -> Values:
    margin = joint.sum(axis=1)
    entropy, of_margin = measure_entropy(joint), measure_entropy(margin)
    # HXY1 and HXY2 of a symmetric matrix are the same number, twice the entropy of its margin.
    independent = 2 * of_margin
    return {
        "information_correlation_1": (entropy - independent) / of_margin if of_margin > 0 else None,
        "information_correlation_2": math.sqrt(max(0.0, 1 - math.exp(-2 * (independent - entropy)))),
    }
