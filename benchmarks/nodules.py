"""Nodules of the built-in reader against phantoms: sensitivity, false positives, volume, diameter.

Run: ``python benchmarks/nodules.py --scans 20 [--seed 1000] [--kinds] [--out]``
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from chest_reader import finish, median_interval, read, wilson
from wetread.domain.finding import Finding
from wetread.phantom import (
    NoduleKind,
    NoduleOptions,
    PhantomOptions,
    Place,
    ScannerOptions,
    Shape,
    make_visit,
)
from wetread.phantom.truth import TrueNodule


def make_options(seed: int, kinds: bool) -> PhantomOptions:
    """Draw a scan: solid nodules of 5 to 20 mm in all places; all kinds and shapes with ``--kinds``."""
    rng = np.random.default_rng(seed)
    scanner = ScannerOptions(
        spacing_mm=float(rng.uniform(0.62, 0.85)),
        step_mm=1.25,
        thickness_mm=1.25,
        dose_mgy=float(rng.choice([2.0, 4.0, 8.0])),
    )
    nodules = [
        NoduleOptions(
            diameter_mm=float(rng.choice([5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0])),
            kind=_draw(rng, tuple(NoduleKind)) if kinds else NoduleKind.SOLID,
            place=_draw(rng, tuple(Place)),
            shape=_draw(rng, (Shape.ROUND, Shape.ROUND, Shape.LOBULATED, Shape.SPICULATED)),
        )
        for _ in range(6)
    ]
    return PhantomOptions(seed=seed, scanner=scanner, nodules=tuple(nodules))


def _draw(rng, values):
    return values[int(rng.integers(len(values)))]


def match(truth: tuple[TrueNodule, ...], found: list[Finding]) -> dict[str, Finding]:
    """A finding is the nodule whose centre lies nearest, if within its radius (at least 3 mm)."""
    hits: dict[str, Finding] = {}
    for finding in found:
        best = min(truth, key=lambda one: _apart(one, finding), default=None)
        if best is None or best.nodule_id in hits:
            continue
        if _apart(best, finding) <= max(3.0, best.diameter_mm / 2):
            hits[best.nodule_id] = finding
    return hits


def _apart(nodule: TrueNodule, finding: Finding) -> float:
    return float(np.linalg.norm(np.subtract(nodule.center_lps_mm, finding.center_lps_mm)))


def run_scan(seed: int, kinds: bool) -> tuple[list[dict[str, object]], int, float]:
    """Rows for one scan, its false positives, seconds for the reading."""
    visit = make_visit(make_options(seed, kinds))
    start = time.perf_counter()
    reading = read(visit.volume)
    seconds = time.perf_counter() - start
    found = [one for one in reading.findings if one.label == "lung nodule"]
    hits = match(visit.truth.nodules, found)
    rows = [_row(seed, one, hits.get(one.nodule_id)) for one in visit.truth.nodules]
    return rows, len(found) - len(hits), seconds


def _row(seed: int, nodule: TrueNodule, finding: Finding | None) -> dict[str, object]:
    row: dict[str, object] = {
        "seed": seed,
        "kind": nodule.kind,
        "place": nodule.place,
        "shape": nodule.shape,
        "size_mm": round((6 * nodule.volume_mm3 / np.pi) ** (1 / 3), 2),
        "found": finding is not None,
    }
    if finding is not None:
        measured = finding.measurements
        row["volume_error_percent"] = 100 * (measured["volume_mm3"] / nodule.volume_mm3 - 1)
        row["diameter_error_mm"] = measured["mean_diameter_mm"] - nodule.diameter_mm
        row["type"] = finding.texture.meaning.lower() if finding.texture else ""
    return row


def report(rows: list[dict[str, object]], false: list[int]) -> dict[str, object]:
    """Print the table."""
    result: dict[str, object] = {"scans": len(false), "false_positives_per_scan": float(np.mean(false))}
    print(
        f"{'group':34s} {'n':>4s} {'sensitivity':>22s} {'|volume error| %':>20s} {'|diameter error| mm':>20s}"
    )
    for name, group in _groups(rows).items():
        hits = [row for row in group if row["found"]]
        share, (low, high) = len(hits) / max(len(group), 1), wilson(len(hits), len(group))
        volume = median_interval([abs(float(str(row["volume_error_percent"]))) for row in hits])
        diameter = median_interval([abs(float(str(row["diameter_error_mm"]))) for row in hits])
        print(
            f"{name:34s} {len(group):4d} {share:8.3f} [{low:.2f}, {high:.2f}] "
            f"{volume[0]:8.1f} [{volume[1]:.1f}, {volume[2]:.1f}] "
            f"{diameter[0]:8.2f} [{diameter[1]:.2f}, {diameter[2]:.2f}]"
        )
        result[name] = {"n": len(group), "sensitivity": share, "volume": volume, "diameter": diameter}
    print(f"false positives per scan: {np.mean(false):.2f} (most in one scan {max(false)})")
    return result


def _groups(rows: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    solid = [row for row in rows if row["kind"] == "solid"]
    groups = {"solid, all": solid}
    for low, high in ((4, 5.5), (5.5, 7.5), (7.5, 99)):
        groups[f"solid, {low} to {high} mm"] = [
            row for row in solid if low <= float(str(row["size_mm"])) < high
        ]
    for key in ("place", "shape", "kind"):
        for value in sorted({str(row[key]) for row in rows}):
            groups[f"{key}: {value}"] = [
                row for row in (rows if key == "kind" else solid) if row[key] == value
            ]
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--kinds", action="store_true", help="also part-solid and ground-glass nodules")
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    false: list[int] = []
    for seed in range(options.seed, options.seed + options.scans):
        some, wrong, seconds = run_scan(seed, options.kinds)
        rows += some
        false.append(wrong)
        found = sum(1 for row in some if row["found"])
        print(f"scan {seed}: {found} of {len(some)} found, {wrong} false, {seconds:.0f} s", flush=True)
    result = report(rows, false)
    result["rows"] = rows
    finish(result, options.out, "nodules")


if __name__ == "__main__":
    main()
