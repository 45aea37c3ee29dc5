"""Follow-up on phantoms: landmark error, nodules matched, error of volume change, growth calls, time.

Each pair is one patient at two visits in another pose and breath, at times on another scanner; nodules grow,
shrink, stay, appear and vanish.

Run: ``python benchmarks/follow.py --pairs 5 [--seed 3000] [--coarse] [--out]``
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np

from chest_reader import MODEL, finish, median_interval, wilson
from wetread.domain.comparison import Status
from wetread.domain.study import Series
from wetread.infer.chest_follow import follow_scan
from wetread.infer.chest_look import look_at_chest
from wetread.infer.prior import PriorStudy
from wetread.measure.register import register
from wetread.measure.registration import PriorDoesNotFit
from wetread.phantom import (
    Kernel,
    NoduleOptions,
    PhantomOptions,
    Place,
    ScannerOptions,
    Shape,
    VisitOptions,
    make_patient,
    make_visit,
)
from wetread.phantom.scene import make_motion

NODULES, NEW, GONE = 8, 2, 1


def draw(seed: int, coarse: bool) -> tuple[PhantomOptions, list[ScannerOptions]]:
    rng = np.random.default_rng([seed, 91])
    nodules = tuple(_nodule(rng) for _ in range(NODULES))
    growth = {f"n{one + 1}": float(rng.uniform(0.7, 2.0)) for one in range(NODULES) if rng.random() < 0.6}
    later = VisitOptions(
        date=date(2026, 7, 12),
        shift_mm=tuple(float(one) for one in rng.normal(size=3) * (6, 4, 10)),
        rotation_deg=tuple(float(one) for one in rng.normal(size=3) * 3.0),
        breath_mm=float(rng.uniform(-5, 15)),
        deformation_mm=float(rng.uniform(1, 4)),
        growth=growth,
        new_nodules=tuple(_nodule(rng) for _ in range(NEW)),
        resolved=tuple(f"n{NODULES - one}" for one in range(GONE)),
    )
    first = (
        ScannerOptions(matrix=256, spacing_mm=1.35, step_mm=2.5, thickness_mm=2.5)
        if coarse
        else ScannerOptions(dose_mgy=float(rng.choice([2.0, 4.0, 8.0])))
    )
    second = replace(first, dose_mgy=float(rng.choice([1.0, 2.0, 4.0])))
    if rng.random() < 0.5:
        second = replace(second, kernel=Kernel(str(rng.choice([one.value for one in Kernel]))))
    return PhantomOptions(seed=seed, nodules=nodules, visits=(VisitOptions(), later)), [first, second]


def _nodule(rng: np.random.Generator) -> NoduleOptions:
    return NoduleOptions(
        diameter_mm=float(np.exp(rng.uniform(np.log(6.0), np.log(18.0)))),
        place=Place(str(rng.choice([one.value for one in Place], p=[0.55, 0.25, 0.2]))),
        shape=Shape(str(rng.choice([one.value for one in Shape], p=[0.6, 0.25, 0.15]))),
    )


def identify(seen_nodules, grid, truth) -> list[str]:
    """Id of the true nodule that each one found is, ``""`` for a false one."""
    names = []
    for one in seen_nodules:
        center = grid.to_lps_mm(one.center)
        near = min(truth, key=lambda true: np.linalg.norm(np.subtract(true.center_lps_mm, center)))
        apart = np.linalg.norm(np.subtract(near.center_lps_mm, center))
        names.append(near.nodule_id if apart <= max(3.0, near.diameter_mm / 2) else "")
    return names


def run_pair(seed: int, coarse: bool) -> dict[str, object]:
    options, scanners = draw(seed, coarse)
    patient = make_patient(options)
    before, now = (
        make_visit(replace(options, scanner=one), number, patient=patient)
        for number, one in enumerate(scanners, 1)
    )
    return {"seed": seed} | follow_pair(before, now, partial(_in_prior, options))


def follow_pair(before, now, in_prior) -> dict[str, object]:
    """Follow one visit after the other; ``in_prior`` tells where a point (LPS, mm) was before."""
    prior = PriorStudy(
        study_instance_uid="1.2.1",
        # Its images are in memory.
        series=Series(series_instance_uid="1.2.1.1", instances=()),
        studied_on="2026-01-12",
        interval_days=181,
    )
    start = time.perf_counter()
    past = look_at_chest(before.volume, MODEL)
    found_before = identify(past.nodules, past.volume.grid, before.truth.nodules)
    middle = time.perf_counter()
    seen = look_at_chest(now.volume, MODEL)
    looked = time.perf_counter()
    registration = register(seen.scan.lung_view, past.scan.lung_view)
    registered = time.perf_counter()
    followed = follow_scan(seen, past.scan, prior, MODEL)
    end = time.perf_counter()
    result: dict[str, object] = {
        "landmarks_mm": _landmarks(in_prior, seen.scan.lung_view, registration),
        "fit": [registration.fit.overlap, registration.fit.dice, registration.fit.likeness],
        "read_s": looked - middle,
        "register_s": registered - looked,
        # The first look at the prior is done again within the last step.
        "whole_s": (end - registered) + (looked - middle),
        "first_s": middle - start,
    }
    return result | _judge(before, now, followed, (seen, found_before), in_prior)


def _in_prior(options, points):
    first, second = (make_motion(options, number) for number in (0, 1))
    return first.from_rest(second.to_rest(points.copy()))


def _landmarks(in_prior, view, registration) -> list[float]:
    index = np.argwhere(view.closed > 0)
    index = index[np.random.default_rng(0).choice(len(index), 500)]
    points = view.volume.grid.to_lps_mm((index + 0.5) * np.array(view.coarse.factors) - 0.5)
    return [float(one) for one in np.linalg.norm(registration.to_prior(points) - in_prior(points), axis=1)]


def _judge(before, now, followed, found, in_prior) -> dict[str, object]:
    """Count what was matched, and compare changes with the truth.

    A false finding is mostly a vessel, and that was there before as well: it is a false match only where it
    was matched with something else.
    """
    seen, found_before = found
    truth = {one.nodule_id: one for one in before.truth.nodules}
    later = {one.nodule_id: one for one in now.truth.nodules}
    names = identify(followed.nodules, seen.volume.grid, now.truth.nodules)
    rows, wrong = [], 0
    for name, nodule, link in zip(names, followed.nodules, followed.links, strict=True):
        has_prior = link.prior is not None
        if name not in truth:
            wrong += has_prior and (bool(name) or _is_elsewhere(nodule, link, seen, in_prior))
            continue
        row: dict[str, object] = {"nodule": name, "matched": has_prior}
        if has_prior:
            true = later[name].volume_mm3 / truth[name].volume_mm3
            row |= {
                "true_percent": 100 * (true - 1),
                "percent": link.prior.volume_change_percent,
                "ci95": list(link.prior.volume_change_ci95),
                "status": str(link.prior.status),
                "prior_error": link.prior.volume_mm3 / truth[name].volume_mm3 - 1,
            }
            # A prior volume that is not this nodule's is another's.
            wrong += abs(np.log(link.prior.volume_mm3 / truth[name].volume_mm3)) > np.log(1.6)
        rows.append(row)
    fresh = [
        link.status is Status.NEW
        for name, link in zip(names, followed.links, strict=True)
        if name and name not in truth
    ]
    gone = set(truth) - set(later)
    told = sum(one.status is Status.RESOLVED for one in followed.comparison.gone)
    return {
        "rows": rows,
        "false_matches": int(wrong),
        "false_findings": names.count(""),
        "new": [sum(fresh), len(fresh)],
        "resolved": [told, len(gone & set(found_before))],
    }


def _is_elsewhere(nodule, link, seen, in_prior) -> bool:
    """Whether what a finding was matched with lies somewhere else than it lay then."""
    place = np.asarray(seen.volume.grid.to_lps_mm(nodule.center), float)
    gap = np.linalg.norm(in_prior(place[None])[0] - link.prior.place.center_lps_mm)
    return bool(gap > max(3.0, (3 * nodule.volume_mm3 / (4 * np.pi)) ** (1 / 3)))


def report(pairs: list[dict]) -> dict[str, object]:
    rows = [row for pair in pairs for row in pair["rows"]]
    matched = [row for row in rows if row["matched"]]
    low, high = wilson(len(matched), len(rows))
    print(f"nodules of both visits matched: {len(matched)} of {len(rows)} [{low:.3f}, {high:.3f}]")
    print(f"false matches: {sum(pair['false_matches'] for pair in pairs)};", end=" ")
    print(f"false findings: {sum(pair['false_findings'] for pair in pairs)}")
    for what in ("new", "resolved"):
        print(f"{what}: {sum(one[what][0] for one in pairs)} said of {sum(one[what][1] for one in pairs)}")
    landmarks = [one for pair in pairs for one in pair["landmarks_mm"]]
    print(f"landmark error, mm: median {np.median(landmarks):.2f}, 95 % {np.percentile(landmarks, 95):.2f}")
    errors = [abs(row["percent"] - row["true_percent"]) for row in matched]
    inside = [row["ci95"][0] <= row["true_percent"] <= row["ci95"][1] for row in matched]
    calls = [(row["status"] == "growing") == (row["true_percent"] >= 25) for row in matched]
    if matched:
        median = median_interval(errors)
        print(
            f"volume change error, points: median {median[0]:.1f} [{median[1]:.1f}, {median[2]:.1f}],",
            end=" ",
        )
        print(f"95 % {np.percentile(errors, 95):.1f}; within the stated interval {np.mean(inside):.3f}")
        print(f"growth of 25 % called rightly: {np.mean(calls):.3f}")
    for what in ("register_s", "read_s", "whole_s"):
        print(f"{what}: median {np.median([pair[what] for pair in pairs]):.1f}")
    return {"pairs": pairs, "matched": len(matched), "nodules": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=3000)
    parser.add_argument("--coarse", action="store_true", help="pixels of 1.35 mm, slices of 2.5 mm: quick")
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    pairs = []
    for seed in range(options.seed, options.seed + options.pairs):
        try:
            pair = run_pair(seed, options.coarse)
        except PriorDoesNotFit as refused:
            print(f"pair {seed}: {refused}", flush=True)
            continue
        pairs.append(pair)
        hits = sum(row["matched"] for row in pair["rows"])
        print(f"pair {seed}: {hits} of {len(pair['rows'])} matched, {pair['whole_s']:.0f} s", flush=True)
    finish(report(pairs), options.out, "follow")


if __name__ == "__main__":
    main()
