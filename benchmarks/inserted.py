"""Nodules inserted into a real CT: sensitivity of the built-in reader against extra candidates a scan.

Run: ``python benchmarks/inserted.py --scans 10 [--seed 1] [--alone] [--out]`` (data: ``WETREAD_DATA``)
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pydicom

from chest_reader import MODEL, finish, wilson
from wetread.domain.volume import Grid, Volume
from wetread.infer.chest_look import nodule_settings
from wetread.infer.nodule_second import second_reader
from wetread.measure.coarse import shrink
from wetread.measure.lungs import segment_lungs
from wetread.measure.nodules import Views, find_nodules
from wetread.measure.thorax import find_thorax
from wetread.phantom.insert import Inserted, insert_nodules
from wetread.phantom.options import NoduleKind, NoduleOptions, Shape

DATA = Path(os.environ.get("WETREAD_DATA", Path(__file__).parents[2] / "shared/data"))
NODULES = 5


def read_series() -> Volume:
    files = sorted((DATA / "ct_chest_series").glob("*.dcm"))
    if not files:
        raise SystemExit("The shared data folder is not here: set WETREAD_DATA")
    slices = sorted(map(pydicom.dcmread, files), key=lambda one: float(one.ImagePositionPatient[2]))
    first = slices[0]
    voxels = np.stack([one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices])
    row, column = (float(one) for one in first.PixelSpacing)
    step = float(slices[1].ImagePositionPatient[2]) - float(first.ImagePositionPatient[2])
    grid = Grid(
        shape=voxels.shape,
        spacing_mm=(step, row, column),
        origin_lps_mm=tuple(float(one) for one in first.ImagePositionPatient),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    return Volume(voxels=voxels.astype(np.int16), grid=grid)


def wish(rng: np.random.Generator) -> NoduleOptions:
    return NoduleOptions(
        diameter_mm=float(rng.uniform(5, 15)),
        kind=NoduleKind.SOLID if rng.random() < 0.7 else NoduleKind.GROUND_GLASS,
        shape=Shape.ROUND if rng.random() < 0.5 else Shape.LOBULATED,
    )


def find(volume: Volume, alone: bool) -> list[tuple[float, np.ndarray]]:
    """Every candidate: probability, centre in LPS mm; ``alone``: without second reader."""
    changed = {"nodule_least_probability": 0.02}
    if alone:
        changed["nodule_least_strength_hu"] = MODEL.parameters["nodule_sure_strength_hu"]
    settings = nodule_settings({**MODEL.parameters, **changed})
    coarse, blocks = shrink(volume, 2.0), shrink(volume, 1.3)
    views = Views(volume=volume, coarse=coarse, blocks=blocks)
    nodules, _ = find_nodules(views, find_thorax(coarse), settings, second_reader(MODEL, volume))
    return [(one.probability, volume.grid.to_lps_mm(one.center)) for one in nodules]


def match(truths: tuple[Inserted, ...], found: list[tuple[float, np.ndarray]]) -> list[tuple[float, int]]:
    """Probability of each candidate, and the nodule within whose radius (at least 3 mm) it lies, or -1."""
    rows = []
    for probability, center in found:
        gaps = [np.linalg.norm(center - one.center_lps_mm) for one in truths]
        best = int(np.argmin(gaps))
        rows.append((probability, best if gaps[best] <= max(3.0, truths[best].diameter_mm / 2) else -1))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="the classical search without second reader")
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    volume = read_series()
    coarse = shrink(volume, 2.0)
    lungs = segment_lungs(volume, coarse, find_thorax(coarse)) > 0
    rows, kinds = [], []
    for scan in range(options.scans):
        rng = np.random.default_rng([options.seed, scan])
        changed, truths = insert_nodules(
            volume, lungs, [wish(rng) for _ in range(NODULES)], options.seed + scan
        )
        kinds += [one.kind for one in truths]
        rows += [
            (probability, hit + scan * NODULES if hit >= 0 else -1)
            for probability, hit in match(truths, find(changed, options.alone))
        ]
    result: dict[str, object] = {"nodules": len(kinds), "scans": options.scans}
    for least in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9):
        hits = {hit for probability, hit in rows if hit >= 0 and probability >= least}
        extra = sum(hit < 0 and probability >= least for probability, hit in rows) / options.scans
        low, high = wilson(len(hits), len(kinds))
        glass = sum(kinds[one] == NoduleKind.GROUND_GLASS.value for one in hits)
        print(
            f"from {least:4.2f}: {len(hits)} of {len(kinds)} found, {len(hits) / len(kinds):.2f} "
            f"[{low:.2f}, {high:.2f}], {glass} of them ground-glass; {extra:.1f} extra a scan"
        )
        result[f"from {least}"] = {"sensitivity": len(hits) / len(kinds), "extra": extra}
    finish(result, options.out, "inserted")


if __name__ == "__main__":
    main()
