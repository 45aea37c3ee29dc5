"""Lung masks and volumes: against the lobes of the reference CT, and against phantoms.

Run: ``python benchmarks/lungs.py [--scans 5] [--seed 3000] [--data DIR] [--out]``
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import nibabel
import numpy as np

from chest_reader import finish, median_interval, read
from wetread.domain.volume import Grid, Volume
from wetread.phantom import PatientOptions, PhantomOptions, ScannerOptions, make_visit

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared/data"


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.count_nonzero(one & other) / max(np.count_nonzero(one) + np.count_nonzero(other), 1))


def run_reference(folder: Path) -> float:
    """Dice against the union of the lobes; the labels cover the upper end of the scan only."""
    hu = np.asarray(nibabel.load(folder / "example_ct.nii.gz").dataobj).astype(np.int16)
    names = sorted((folder / "organs_by_name").glob("lung_*_lobe_*.nii.gz"))
    lobes = np.logical_or.reduce([np.asarray(nibabel.load(name).dataobj) > 0 for name in names])
    truth = np.zeros(hu.shape, dtype=bool)
    truth[:, :, hu.shape[2] - lobes.shape[2] :] = lobes
    grid = Grid(
        shape=(hu.shape[2], hu.shape[1], hu.shape[0]),
        spacing_mm=(3.0, 3.0, 3.0),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0, 0, 1), (0, -1, 0), (-1, 0, 0)),
    )
    reading = read(Volume(voxels=np.ascontiguousarray(hu.transpose(2, 1, 0)), grid=grid))
    masks = [one.mask.to_array() for one in reading.segments if one.label.endswith("lung")]
    return dice(np.logical_or.reduce(masks), truth.transpose(2, 1, 0))


def run_phantom(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    options = PhantomOptions(
        seed=seed,
        scanner=ScannerOptions(spacing_mm=float(rng.uniform(0.65, 0.85))),
        patient=PatientOptions(emphysema_percent=float(rng.choice([0.0, 0.0, 20.0]))),
    )
    visit = make_visit(options)
    reading = read(visit.volume)
    right, left = (reading.get_segment(number).mask.to_array() for number in (1, 2))
    return {
        "right_dice": dice(right, visit.masks.right_lung),
        "left_dice": dice(left, visit.masks.left_lung),
        "volume_error_percent": 100
        * (reading.measurements["lung_volume_ml"] / visit.truth.lung_volume_ml - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=5)
    parser.add_argument("--seed", type=int, default=3000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WETREAD_DATA", DEFAULT_DATA)))
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    result: dict[str, object] = {}
    folder = options.data / "ct_reference"
    if folder.is_dir():
        result["reference_dice"] = run_reference(folder)
        print(f"reference CT, 3 mm, bases only: Dice {result['reference_dice']:.4f}")
    else:
        print("reference CT: not here, set --data or WETREAD_DATA")
    rows = [run_phantom(seed) for seed in range(options.seed, options.seed + options.scans)]
    for name in rows[0] if rows else {}:
        middle, low, high = median_interval([row[name] for row in rows])
        worst = (
            max((row[name] for row in rows), key=abs) if "error" in name else min(row[name] for row in rows)
        )
        print(f"phantoms, {name}: median {middle:.4f} [{low:.4f}, {high:.4f}], worst {worst:.4f}")
    result["phantoms"] = rows
    finish(result, options.out, "lungs")


if __name__ == "__main__":
    main()
