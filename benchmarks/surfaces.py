"""HD95 and surface Dice of large masks, against MONAI's in the same run.

Run: ``python benchmarks/surfaces.py [--shape 300 512 512] [--repeat 1] [--masks lungs|nodule]``

The masks are two lungs in a CT of the usual size, predicted a little off; MONAI and PyTorch get as many
threads as we do.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from wetread.stats.surface import measure_surfaces

SPACING_MM = (1.0, 0.7, 0.7)
TOLERANCE_MM = 2.0


def make_lungs(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the true masks of two lungs, rough as real ones, and a prediction of them."""
    rng = np.random.default_rng(seed)
    planes, rows, columns = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    p, r, c = planes[:, None, None], rows[None, :, None], columns[None, None, :]
    rough = sum(
        0.05 * np.sin(k * np.pi * p + a) * np.sin(k * np.pi * r + b) * np.sin(k * np.pi * c + a * b)
        for k, a, b in ((5, *rng.random(2)), (9, *rng.random(2)))
    )
    far = np.minimum(
        (p / 0.9) ** 2 + (r / 0.7) ** 2 + ((c - 0.45) / 0.38) ** 2,
        (p / 0.9) ** 2 + (r / 0.7) ** 2 + ((c + 0.45) / 0.38) ** 2,
    )
    true = far + rough < 0.95
    # A few voxels off here and there, and a part missed.
    off = 0.03 * np.sin(7 * np.pi * p + 1) * np.sin(6 * np.pi * r) * np.sin(8 * np.pi * c)
    predicted = far + rough + np.where(np.abs(off) > 0.01, off, 0) < 0.95
    predicted[int(0.48 * shape[0]) : int(0.52 * shape[0]), int(0.7 * shape[1]) :] = False
    return predicted, true


def make_nodule(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a nodule of 20 voxels in the same volume."""
    masks = []
    for radius, shift in ((10, 0), (9, 1)):
        grid = np.ogrid[
            tuple(slice(-size // 2 + shift + seed, size - size // 2 + shift + seed) for size in shape)
        ]
        masks.append(sum(axis.astype(np.float32) ** 2 for axis in grid) < radius**2)
    return masks[1], masks[0]


def our_distance(predicted: np.ndarray, true: np.ndarray) -> float:
    return measure_surfaces(predicted, true, SPACING_MM).hausdorff_mm(95)


def our_dice(predicted: np.ndarray, true: np.ndarray) -> float:
    return measure_surfaces(predicted, true, SPACING_MM, limit_mm=TOLERANCE_MM).dice(TOLERANCE_MM)


def monai_distance(predicted: np.ndarray, true: np.ndarray) -> float:
    from monai.metrics import compute_hausdorff_distance

    return float(compute_hausdorff_distance(**_pair(predicted, true), percentile=95))


def monai_dice(predicted: np.ndarray, true: np.ndarray) -> float:
    from monai.metrics import compute_surface_dice

    return float(compute_surface_dice(**_pair(predicted, true), class_thresholds=[TOLERANCE_MM]))


def _pair(predicted: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    import torch

    return {
        "y_pred": torch.from_numpy(predicted)[None, None],
        "y": torch.from_numpy(true)[None, None],
        "include_background": True,
        "spacing": SPACING_MM,
    }


def timed(call: Callable[[np.ndarray, np.ndarray], float], repeat: int, masks: Any) -> tuple[float, float]:
    best, value = np.inf, np.nan
    for _ in range(repeat):
        start = time.perf_counter()
        value = call(*masks)
        best = min(best, time.perf_counter() - start)
    return value, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[300, 512, 512])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--masks", choices=["lungs", "nodule"], default="lungs")
    options = parser.parse_args()
    make = make_lungs if options.masks == "lungs" else make_nodule
    masks = make(tuple(options.shape), options.seed)
    warnings.simplefilter("ignore")
    for call in (monai_distance, monai_dice, our_distance):
        call(*(mask[-32:, -32:, -64:] | True for mask in masks))  # imports are not measured
    found: dict[str, Any] = {"masks": options.masks, "true_voxels": int(masks[1].sum())}
    for name, ours, theirs in (
        ("hd95_mm", our_distance, monai_distance),
        ("surface_dice", our_dice, monai_dice),
    ):
        (our_value, our_s), (value, their_s) = (timed(call, options.repeat, masks) for call in (ours, theirs))
        found[name] = {
            "wetread": our_value,
            "monai": value,
            "wetread_s": round(our_s, 3),
            "monai_s": round(their_s, 3),
            "times_faster": round(their_s / our_s, 1),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
