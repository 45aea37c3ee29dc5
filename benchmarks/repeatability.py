"""How much measured volume varies between two scans of a phantom: fit the model, or check its intervals.

Each pair is one nodule scanned twice: other pose, breath, noise, kernel, pixels and slices, half of them of
another size than before. Of one patient come three scans, so three pairs of each nodule.
Rows are kept in a file, so that it goes on where it was stopped.

Run: ``python benchmarks/repeatability.py ROWS --pairs 1000 [--seed 0] [--fit | --check | --cross]``
``--fit`` writes ``src/wetread/measure/repeatability.json`` from the rows; ``--check`` only tells how many of
them lie within the interval that is stated now: make these of other seeds. ``--cross`` fits on every second
patient and judges the others, both ways.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from chest_reader import MODEL, describe_machine, wilson
from wetread.errors import ConfigError
from wetread.infer.chest_look import nodule_settings
from wetread.measure import repeatability
from wetread.measure.again import look_again
from wetread.measure.coarse import shrink
from wetread.measure.nodules import Views, open_search
from wetread.measure.orientation import to_upright
from wetread.measure.outline import Texture
from wetread.measure.repeatability import (
    TERMS,
    Look,
    Repeatability,
    describe_look,
    make_repeatability,
    read_repeatability,
)
from wetread.measure.thorax import find_thorax
from wetread.phantom import (
    Kernel,
    NoduleKind,
    NoduleOptions,
    PhantomOptions,
    Place,
    ScannerOptions,
    Shape,
    VisitOptions,
    make_patient,
    make_visit,
)

NODULES, VISITS = 25, 3
#: Half the interval of ln volume of pairs of unlike types, while there are few of them: a factor of three.
UNLIKE = 1.1
#: No better than this is claimed of any scan.
LEAST_SD = 0.015
#: How large terms may be expected to be.
PRIOR = np.array([2.0, 0.7, 0.7, 1.0])
TARGET = Path(repeatability.__file__).with_name("repeatability.json")


def draw_scanner(rng: np.random.Generator) -> ScannerOptions:
    step = float(rng.choice([1.0, 1.25, 1.25, 2.0, 2.5, 3.0]))
    return ScannerOptions(
        matrix=448,
        spacing_mm=float(rng.uniform(0.72, 0.85)),
        step_mm=step,
        thickness_mm=step,
        dose_mgy=float(rng.choice([1.0, 2.0, 4.0, 8.0])),
        kernel=Kernel(str(rng.choice([one.value for one in Kernel]))),
    )


def draw_options(seed: int) -> tuple[PhantomOptions, list[ScannerOptions]]:
    rng = np.random.default_rng([seed, 77])
    nodules = tuple(
        NoduleOptions(
            diameter_mm=float(np.exp(rng.uniform(np.log(4.5), np.log(16.0)))),
            kind=NoduleKind(str(rng.choice([one.value for one in NoduleKind], p=[0.7, 0.15, 0.15]))),
            place=Place(str(rng.choice([one.value for one in Place], p=[0.55, 0.25, 0.2]))),
            shape=Shape(str(rng.choice([one.value for one in Shape], p=[0.5, 0.3, 0.2]))),
        )
        for _ in range(NODULES)
    )
    scanners = [draw_scanner(rng) for _ in range(VISITS)]
    if rng.random() < 0.4:
        # The same protocol at every visit, as it should be.
        scanners = [replace(scanners[0], dose_mgy=one.dose_mgy) for one in scanners]
    visits = (VisitOptions(), *(draw_visit(rng, number) for number in range(1, VISITS)))
    return PhantomOptions(seed=seed, nodules=nodules, visits=visits), scanners


def draw_visit(rng: np.random.Generator, number: int) -> VisitOptions:
    growing = {f"n{one + 1}": float(rng.uniform(0.7, 2.0)) for one in range(NODULES) if rng.random() < 0.5}
    return VisitOptions(
        date=date(2026, 1 + 3 * number, 12),
        shift_mm=tuple(float(one) for one in rng.normal(size=3) * (5, 4, 8)),
        rotation_deg=tuple(float(one) for one in rng.normal(size=3) * 2.0),
        breath_mm=float(rng.uniform(-5, 15)),
        deformation_mm=2.0,
        growth=growing,
    )


def measure(options, scanner, number, patient, rng):
    """Each nodule of a visit: its truth and what is measured a millimetre beside its middle."""
    visit = make_visit(replace(options, scanner=scanner), number, patient=patient)
    volume, _ = to_upright(visit.volume)
    coarse = shrink(volume, 2.0)
    thorax = find_thorax(coarse)
    search = open_search(
        Views(volume=volume, coarse=coarse, blocks=coarse), thorax, nodule_settings(MODEL.parameters)
    )
    found = {}
    for one in visit.truth.nodules:
        place = volume.grid.to_index(np.add(one.center_lps_mm, rng.normal(size=3) * 0.6))
        radius = (3 * one.volume_mm3 / (4 * np.pi)) ** (1 / 3) * float(rng.uniform(0.8, 1.25))
        found[one.nodule_id] = one, look_again(search, tuple(place), radius, max(3.0, radius))
    return found


def describe(nodule, truth, step) -> dict[str, object]:
    return {
        "volume_mm3": nodule.volume_mm3,
        "truth_mm3": truth.volume_mm3,
        "step_mm": step,
        "texture": nodule.texture.value,
        "attached": nodule.features.attached + nodule.features.pleural,
        "probability": nodule.probability,
        "mean_hu": nodule.mean_hu,
        "mean_diameter_mm": nodule.axial.mean_mm,
    }


def make_rows(seed: int) -> list[dict[str, object]]:
    """Every pair of visits of one patient, for each nodule."""
    options, scanners = draw_options(seed)
    rng = np.random.default_rng([seed, 78])
    patient = make_patient(options)
    visits = [measure(options, scanner, number, patient, rng) for number, scanner in enumerate(scanners, 1)]
    rows = []
    for one, other in combinations(range(VISITS), 2):
        for name in sorted(visits[one]):
            sides = [(*visits[visit][name], scanners[visit].step_mm) for visit in (one, other)]
            truth = sides[0][0]
            row = {"seed": seed, "nodule": name, "visits": [one + 1, other + 1]}
            row |= {"kind": truth.kind, "place": truth.place, "shape": truth.shape}
            if any(found is None for _truth, found, _step in sides):
                rows.append(row | {"lost": True})
                continue
            first, second = (describe(found, truth, step) for truth, found, step in sides)
            rows.append(row | {"first": first, "second": second})
    return rows


def look(side: dict) -> Look:
    return Look(
        volume_mm3=side["volume_mm3"],
        step_mm=side["step_mm"],
        texture=Texture(side["texture"]),
        attached=side["attached"],
    )


def error(row: dict) -> float:
    """Measured less true ln volume change."""
    one, other = row["first"], row["second"]
    measured = np.log(other["volume_mm3"] / one["volume_mm3"])
    return float(measured - np.log(other["truth_mm3"] / one["truth_mm3"]))


def usable(rows: list[dict]) -> list[dict]:
    """Pairs that a reader would compare: both looks are like a nodule's."""
    return [
        row
        for row in rows
        if "first" in row and min(row[side]["probability"] for side in ("first", "second")) >= 0.25
    ]


def fit(rows: list[dict]) -> dict[str, object]:
    """Weights of greatest likelihood, then the factors that hold 95 % of patients not fitted on.

    The factors come from models that left each patient out: against its own pairs a model is too sure.
    """
    unlike = [abs(error(row)) for row in rows if row["first"]["texture"] != row["second"]["texture"]]
    rows = [row for row in rows if row["first"]["texture"] == row["second"]["texture"]]
    patients = np.array([row["seed"] for row in rows])
    apart = np.empty(len(rows))
    for patient in np.unique(patients):
        others = [row for row in rows if row["seed"] != patient]
        mine = [row for row in rows if row["seed"] == patient]
        apart[patients == patient] = np.abs([error(row) for row in mine]) / spread(fit_weights(others), mine)
    is_solid = np.array([row["first"]["texture"] == Texture.SOLID.value for row in rows])
    best = fit_weights(rows)
    return {
        "weights": {
            name: round(float(one), 4) for name, one in zip(("intercept", *TERMS), best, strict=True)
        },
        "least_sd": LEAST_SD,
        "factor": round(float(np.quantile(apart[is_solid], 0.95)), 3),
        "subsolid_factor": round(float(np.quantile(apart[~is_solid], 0.95)), 3),
        "unlike_margin": round(float(np.quantile(unlike, 0.95)), 3) if len(unlike) >= 20 else UNLIKE,
        "pairs": len(rows),
    }


def make_terms(rows: list[dict]) -> list[np.ndarray]:
    """Return the terms of both looks; each (pairs, terms)."""
    return [
        np.array([[1.0, *(describe_look(look(row[side]))[name] for name in TERMS)] for row in rows])
        for side in ("first", "second")
    ]


def spread(weights: np.ndarray, rows: list[dict]) -> np.ndarray:
    """Return the standard deviation of ln volume change of pairs."""
    sds = [np.maximum(LEAST_SD, np.exp(np.minimum(one @ weights, 0.5))) for one in make_terms(rows)]
    return np.hypot(*sds)


def fit_weights(rows: list[dict]) -> np.ndarray:
    """Return the weights of greatest likelihood."""
    terms, errors = make_terms(rows), np.array([error(row) for row in rows])

    def cost(weights):
        # Student's t with 4 degrees of freedom: a few pairs are outlined quite differently.
        sd = np.sqrt(sum(np.exp(2 * np.clip(one @ weights, -6, 0.5)) for one in terms))
        # Held near 0, or few pairs would make steep terms.
        held = float(np.sum(np.square(weights[1:] / PRIOR)))
        # Neither ground glass nor a vessel beside it makes a nodule easier to measure.
        held += 1e3 * float(np.sum(np.minimum(weights[3:], 0.0) ** 2))
        return float(np.sum(2.5 * np.log1p((errors / sd) ** 2 / 4) + np.log(sd))) + 0.5 * held

    start = np.array([np.log(0.06), *(0.0 for _ in TERMS)])
    return minimize(cost, start, method="Nelder-Mead", options={"maxiter": 6000, "xatol": 1e-4}).x


def judge_stated(rows: list[dict]) -> list[tuple[dict, Repeatability]]:
    """Each pair with the model that is stated now."""
    return [(row, read_repeatability()) for row in rows]


def judge_unseen(rows: list[dict]) -> list[tuple[dict, Repeatability]]:
    """Each pair with a model that was fitted on other patients: on every second one."""
    halves = [[row for row in rows if row["seed"] % 2 == half] for half in (0, 1)]
    models = [make_repeatability(fit(usable(half))) for half in halves]
    return [(row, models[1 - row["seed"] % 2]) for row in rows]


def report(judged: list[tuple[dict, Repeatability]]) -> None:
    rows = [row for row, _ in judged]
    margin_of = {
        id(row): model.margin(look(row["first"]), look(row["second"]))
        for row, model in judged
        if "first" in row
    }
    kept = usable(rows)
    within = [abs(error(row)) <= margin_of[id(row)] for row in kept]
    low, high = wilson(sum(within), len(within))
    print(f"within the stated interval: {sum(within)} of {len(within)}, {np.mean(within):.3f}", end=" ")
    print(f"[{low:.3f}, {high:.3f}]; left out (no outline, or unlike a nodule): {len(rows) - len(kept)}")
    groups = {
        "solid": lambda row: row["kind"] == "solid",
        "subsolid": lambda row: row["kind"] != "solid",
        "below 6 mm": lambda row: look(row["first"]).diameter_mm < 6,
        "6 mm and more": lambda row: look(row["first"]).diameter_mm >= 6,
        "planes to 1.25 mm": lambda row: max(row[s]["step_mm"] for s in ("first", "second")) <= 1.25,
        "planes from 2.5 mm": lambda row: min(row[s]["step_mm"] for s in ("first", "second")) >= 2.5,
        "unlike planes": lambda row: row["first"]["step_mm"] != row["second"]["step_mm"],
        "on vessel or pleura": lambda row: row["place"] != "intrapulmonary",
    }
    print(
        f"{'group':22s} {'n':>5s} {'within':>7s} {'half width %':>13s} {'|error| median':>15s} {'95 %':>6s}"
    )
    for name, belongs in groups.items():
        chosen = [row for row in kept if belongs(row)]
        if not chosen:
            continue
        margins = np.array([margin_of[id(row)] for row in chosen])
        errors = np.abs([error(row) for row in chosen])
        print(
            f"{name:22s} {len(chosen):5d} {np.mean(errors <= margins):7.3f} "
            f"{100 * np.expm1(np.median(margins)):13.1f} {100 * np.expm1(np.median(errors)):15.1f} "
            f"{100 * np.expm1(np.quantile(errors, 0.95)):6.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", type=Path, help="file of rows, JSON, one a line; made where it is not there")
    parser.add_argument("--pairs", type=int, default=0, help="make rows until there are so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="make no more rows after so long")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fit", action="store_true", help="write the model")
    what.add_argument("--check", action="store_true", help="tell how many pairs lie within its intervals")
    what.add_argument(
        "--cross", action="store_true", help="the same, by models fitted on the other half of patients"
    )
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    seed, start = max([options.seed - 1, *(row["seed"] for row in rows)]) + 1, time.monotonic()
    while len(rows) < options.pairs and time.monotonic() - start < options.seconds:
        try:
            fresh = make_rows(seed)
        except ConfigError as problem:
            print(f"patient {seed}: {problem}", flush=True)
            fresh = []
        rows += fresh
        with options.rows.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in fresh)
        print(f"patient {seed}: {len(rows)} pairs, {time.monotonic() - start:.0f} s", flush=True)
        seed += 1
    if options.fit:
        model = fit(usable(rows))
        TARGET.write_text(json.dumps(model, indent=1) + "\n")
        print(json.dumps(model))
        read_repeatability.cache_clear()
    if options.fit or options.check:
        report(judge_stated(rows))
    if options.cross:
        report(judge_unseen(rows))
    print("machine:", json.dumps(describe_machine()))


if __name__ == "__main__":
    main()
