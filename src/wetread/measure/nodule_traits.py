"""What an outlined nodule looks like, as numbers: size, shape, margin, density, texture.

In: normalised grey levels, the map of probabilities, the nodule's outline.  Out: traits by name.
Never: mm or HU, which crops have lost; where the nodule lies.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
#: The order in which models take them.
TRAITS = (
    *("log_volume", "log_area", "log_slices"),
    *("roundness", "elongation", "solidity"),
    *("margin_step", "margin_variation", "halo"),
    *("mean_grey", "grey_variation", "low_grey", "high_grey", "texture"),
    *("ring_grey", "ring_variation"),
    *("sureness", "surest"),
)
#: Normalised grey levels beyond are cut.
LOWEST, HIGHEST = -1.0, 3.0
_PLANE = np.ones((1, 3, 3), bool)
_MARGIN = 5
_LEAST = 1e-6


def describe_nodule(grey: FloatArray, probability: FloatArray, outline: BoolArray) -> Mapping[str, float]:
    """Return the traits of one nodule.

    Parameters
    ----------
    grey
        (slices, rows, columns): 0 lung, 1 soft tissue (recipe ``otsu``).
    probability, outline
        Of the same shape; ``outline`` holds at least a voxel.
    """
    box = ndimage.find_objects(outline.astype(np.uint8))[0]
    more = tuple(
        slice(max(0, one.start - by), one.stop + by)
        for one, by in zip(box, (0, _MARGIN, _MARGIN), strict=True)
    )
    inside, near, sure = outline[more], grey[more], probability[more]
    return (
        _size(inside)
        | _shape(inside)
        | _margin(inside, near, sure)
        | _density(inside, near)
        | _sureness(inside, sure)
    )


def _size(inside: BoolArray) -> dict[str, float]:
    areas = inside.sum(axis=(1, 2))
    return {
        "log_volume": float(np.log(areas.sum())),
        "log_area": float(np.log(areas.max())),
        "log_slices": float(np.log((areas > 0).sum())),
    }


def _shape(inside: BoolArray) -> dict[str, float]:
    largest = inside[int(inside.sum(axis=(1, 2)).argmax())]
    area = float(largest.sum())
    edge = float((largest & ~ndimage.binary_erosion(largest)).sum())
    spread = np.cov(np.argwhere(largest).T.astype(float)) if area > 2 else np.eye(2)
    # The variance of a pixel itself keeps thin shapes above 0.
    short, long = np.linalg.eigvalsh(spread + np.eye(2) / 12)
    rows, columns = np.nonzero(largest)
    frame = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    return {
        "roundness": float(np.log(4 * np.pi * area / max(edge, 1.0) ** 2)),
        "elongation": float(np.log(long / max(short, _LEAST)) / 2),
        "solidity": area / float(frame),
    }


def _margin(inside: BoolArray, grey: FloatArray, sure: FloatArray) -> dict[str, float]:
    edge = inside & ~ndimage.binary_erosion(inside, _PLANE)
    steps = np.hypot(ndimage.sobel(grey, axis=1), ndimage.sobel(grey, axis=2))[edge] / 8
    wide, narrow = float((sure > 0.3).sum()), float((sure > 0.7).sum())
    return {
        "margin_step": float(steps.mean()),
        "margin_variation": float(steps.std()),
        "halo": float(np.log((wide + 1) / (narrow + 1))),
    }


def _density(inside: BoolArray, grey: FloatArray) -> dict[str, float]:
    values = grey[inside]
    low, high = np.percentile(values, [10, 95])
    closer = ndimage.binary_dilation(inside, _PLANE)
    ring = ndimage.binary_dilation(closer, _PLANE, iterations=3) & ~closer
    around = grey[ring] if ring.any() else np.zeros(1, np.float32)
    rough = np.abs(grey - ndimage.uniform_filter(grey, size=(1, 3, 3)))[inside]
    return {
        "mean_grey": float(values.mean()),
        "grey_variation": float(values.std()),
        "low_grey": float(low),
        "high_grey": float(high),
        "texture": float(rough.mean()),
        "ring_grey": float(around.mean()),
        "ring_variation": float(around.std()),
    }


def _sureness(inside: BoolArray, sure: FloatArray) -> dict[str, float]:
    values = sure[inside]
    return {"sureness": float(values.mean()), "surest": float(np.sort(values)[-20:].mean())}
