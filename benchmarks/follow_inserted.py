"""Follow-up in a real CT: nodules put into it, and into a copy of it that is warped and has other noise.

The copy is shifted, turned and bent as a patient who lies down anew; in it some nodules have grown or shrunk.
What is judged is judged as on phantoms (``follow.py``).

Run: ``python benchmarks/follow_inserted.py --pairs 10 [--seed 1] [--out]`` (data: ``WETREAD_DATA``)
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from chest_reader import finish
from follow import follow_pair, report
from inserted import read_series
from wetread.domain.volume import Volume
from wetread.measure.coarse import shrink
from wetread.measure.lungs import segment_lungs
from wetread.measure.registration import PriorDoesNotFit
from wetread.measure.thorax import find_thorax
from wetread.phantom.insert import insert_at, insert_nodules
from wetread.phantom.options import NoduleOptions, Shape

NODULES = 5
#: Knots of the bend, and how far it reaches at most in each direction, mm.
KNOT_MM, BEND_MM = 45.0, 4.0
#: Of pixels beside each other as a reconstruction has them: standard deviation, and of its blur, mm.
NOISE_HU, GRAIN_MM = 15.0, 0.7


@dataclass(frozen=True)
class Truth:
    """A nodule as ``follow`` wants it."""

    nodule_id: str
    center_lps_mm: tuple[float, ...]
    volume_mm3: float
    diameter_mm: float


@dataclass(frozen=True)
class TrueNodules:
    nodules: tuple[Truth, ...]


@dataclass(frozen=True)
class Visit:
    volume: Volume
    truth: TrueNodules


class Warp:
    """Where a point of the copy was in the CT; LPS, mm, planes along z, rows along y, columns along x."""

    def __init__(self, volume: Volume, rng: np.random.Generator) -> None:
        self._grid = volume.grid
        low, high = (volume.grid.to_lps_mm(one) for one in ((0, 0, 0), np.array(volume.grid.shape) - 1))
        self._low = np.minimum(low, high)
        counts = np.ceil(np.abs(high - low) / KNOT_MM).astype(int) + 3
        self._middle = (low + high) / 2
        self._shift_mm = rng.normal(size=3) * (5, 4, 4)
        self._turn = _rotation(rng.normal(size=3) * np.deg2rad(1.5))
        knots = rng.uniform(-BEND_MM, BEND_MM, size=(3, *counts))
        self._knots = [ndimage.spline_filter(one, order=3, mode="nearest") for one in knots]

    def to_first(self, points):
        """Return the places of points (n, 3) in the CT."""
        at = (points - self._low).T / KNOT_MM + 1
        bend = [
            ndimage.map_coordinates(one, at, order=3, mode="nearest", prefilter=False) for one in self._knots
        ]
        return self._middle + (points - self._middle) @ self._turn.T + self._shift_mm + np.stack(bend, axis=1)

    def from_first(self, point):
        """Return where a point of the CT is in the copy."""
        place = np.array(point, float)
        for _ in range(60):
            place = place + (point - self.to_first(place[None])[0])
        assert np.linalg.norm(self.to_first(place[None])[0] - point) < 1e-3
        return place

    def stretch(self, place, step_mm=0.5) -> float:
        """Return by how much volumes grow at a place of the copy."""
        columns = [
            (self.to_first((place + step)[None])[0] - self.to_first((place - step)[None])[0]) / (2 * step_mm)
            for step in np.eye(3) * step_mm
        ]
        return 1 / float(np.linalg.det(np.stack(columns, axis=1)))

    def apply(self, volume: Volume, rng: np.random.Generator) -> Volume:
        """Return the copy: cubic, as linear would blur it, with noise of its own."""
        grid = volume.grid
        coefficients = ndimage.spline_filter(volume.voxels.astype(np.float32), order=3, output=np.float32)
        copied = np.empty(grid.shape, np.float32)
        rows, columns = np.indices(grid.shape[1:])
        for plane in range(grid.shape[0]):
            index = np.stack([np.full(rows.size, plane), rows.ravel(), columns.ravel()], axis=1)
            at = grid.to_index(self.to_first(grid.to_lps_mm(index))).T
            copied[plane] = ndimage.map_coordinates(
                coefficients, at, order=3, mode="nearest", prefilter=False
            ).reshape(rows.shape)
        noise = ndimage.gaussian_filter(
            rng.normal(size=grid.shape).astype(np.float32), [GRAIN_MM / one for one in grid.spacing_mm]
        )
        copied += noise * (NOISE_HU / noise.std())
        return Volume(voxels=np.clip(np.rint(copied), -1024, 3071).astype(np.int16), grid=grid)


def _rotation(angles):
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def make_pair(volume: Volume, lungs, seed: int) -> tuple[Visit, Visit, Warp]:
    """Return both visits, and where points of the second were at the first."""
    rng = np.random.default_rng([seed, 17])
    wishes = [
        NoduleOptions(
            diameter_mm=float(np.exp(rng.uniform(np.log(6.0), np.log(15.0)))),
            shape=Shape.ROUND if rng.random() < 0.5 else Shape.LOBULATED,
        )
        for _ in range(NODULES)
    ]
    # Room for what they may grow to.
    grown = [replace(one, diameter_mm=one.diameter_mm * 2 ** (1 / 3)) for one in wishes]
    places = [one.center for one in insert_nodules(volume, lungs, grown, seed)[1]]
    growth = [float(rng.uniform(0.7, 2.0)) if rng.random() < 0.6 else 1.0 for _ in wishes]
    warp = Warp(volume, rng)
    first, second, before, now = volume, volume, [], []
    for number, (wish, place, times) in enumerate(zip(wishes, places, growth, strict=True)):
        first, one = insert_at(first, wish, place, seed * 100 + number)
        larger = replace(wish, diameter_mm=wish.diameter_mm * times ** (1 / 3))
        second, other = insert_at(second, larger, place, seed * 100 + number)
        moved = warp.from_first(np.array(other.center_lps_mm))
        name = f"n{number + 1}"
        before.append(Truth(name, one.center_lps_mm, one.volume_mm3, one.diameter_mm))
        size = other.volume_mm3 * warp.stretch(moved)
        now.append(Truth(name, tuple(moved), size, other.diameter_mm))
    return (
        Visit(first, TrueNodules(tuple(before))),
        Visit(warp.apply(second, rng), TrueNodules(tuple(now))),
        warp,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    volume = read_series()
    coarse = shrink(volume, 2.0)
    lungs = segment_lungs(volume, coarse, find_thorax(coarse)) > 0
    pairs = []
    for seed in range(options.seed, options.seed + options.pairs):
        before, now, warp = make_pair(volume, lungs, seed)
        try:
            pair = {"seed": seed} | follow_pair(before, now, warp.to_first)
        except PriorDoesNotFit as refused:
            print(f"pair {seed}: {refused}", flush=True)
            continue
        pairs.append(pair)
        hits = sum(row["matched"] for row in pair["rows"])
        print(f"pair {seed}: {hits} of {len(pair['rows'])} matched, {pair['whole_s']:.0f} s", flush=True)
    finish(report(pairs), options.out, "follow_inserted")


if __name__ == "__main__":
    main()
