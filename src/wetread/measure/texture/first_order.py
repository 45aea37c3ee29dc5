"""The distribution of the values, wherever they lie (IBSI UHIW, and of the histogram ZVCW).

In: a region.  Out: 18 numbers of the values, entropy and uniformity of the grey levels.
Never: a grey level where a value is meant; sums in the precision of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import FloatArray
from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.entropy import measure_entropy
from wetread.measure.texture.region import Region

NAMES = {
    "mean": "Q4LE",
    "variance": "ECT3",
    "skewness": "KE2A",
    "excess_kurtosis": "IPH6",
    "median": "Y12H",
    "minimum": "1GSF",
    "percentile_10": "QG58",
    "percentile_90": "8DWT",
    "maximum": "84IY",
    "interquartile_range": "SALO",
    "range": "2OJQ",
    "mean_absolute_deviation": "4FUA",
    "robust_mean_absolute_deviation": "1128",
    "median_absolute_deviation": "N72L",
    "coefficient_of_variation": "7TET",
    "quartile_coefficient_of_dispersion": "9S40",
    "energy": "N8CA",
    "root_mean_square": "5ZWQ",
    "discretised_entropy": "TLU2",
    "discretised_uniformity": "BJ5W",
}

_PIECE = 1 << 20

Array = npt.NDArray[Any]


def measure_first_order(region: Region) -> Values:
    """Measure the values; what is divided by 0 (the spread of a constant, a mean of 0) is None."""
    values = region.values
    return {**_measure_moments(values), **_measure_ranks(values), **_measure_histogram(region)}


def _mean_of(values: Array, function: Callable[[FloatArray], FloatArray]) -> float:
    """Return the mean of a function of the values, piece by piece: no copy in double precision."""
    pieces = (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))
    return math.fsum(float(function(piece.astype(np.float64)).sum()) for piece in pieces) / len(values)


def _measure_moments(values: Array) -> Values:
    mean = _mean_of(values, lambda one: one)
    second = _mean_of(values, lambda one: np.square(one - mean))
    # Powers of arrays are slow.
    third = _mean_of(values, lambda one: np.square(one - mean) * (one - mean))
    fourth = _mean_of(values, lambda one: np.square(np.square(one - mean)))
    square = _mean_of(values, np.square)
    spreads = float(values.max()) > float(values.min())
    return {
        "mean": mean,
        "variance": second,
        "skewness": third / second**1.5 if spreads else None,
        "excess_kurtosis": fourth / second**2 - 3 if spreads else None,
        "mean_absolute_deviation": _mean_of(values, lambda one: np.abs(one - mean)),
        "coefficient_of_variation": math.sqrt(second) / mean if mean else None,
        "energy": square * len(values),
        "root_mean_square": math.sqrt(square),
    }


def _measure_ranks(values: Array) -> Values:
    low, first, median, third, high = (float(one) for one in np.percentile(values, (10, 25, 50, 75, 90)))
    minimum, maximum = float(values.min()), float(values.max())
    kept = values[(values >= low) & (values <= high)]
    middle = _mean_of(kept, lambda one: one) if kept.size else math.nan
    total = third + first
    return {
        "median": median,
        "minimum": minimum,
        "percentile_10": low,
        "percentile_90": high,
        "maximum": maximum,
        "interquartile_range": third - first,
        "range": maximum - minimum,
        "robust_mean_absolute_deviation": _mean_of(kept, lambda one: np.abs(one - middle))
        if kept.size
        else None,
        "median_absolute_deviation": _mean_of(values, lambda one: np.abs(one - median)),
        "quartile_coefficient_of_dispersion": (third - first) / total if total else None,
    }


def _measure_histogram(region: Region) -> Values:
    size = region.level_count + 1
    number = np.zeros(size)
    for plane in region.levels:
        number += np.bincount(plane.ravel(), minlength=size)
    share = number[1:] / number[1:].sum()
    return {
        "discretised_entropy": measure_entropy(share),
        "discretised_uniformity": float(np.sum(share**2)),
    }
