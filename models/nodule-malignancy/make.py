"""Make curves and appearance of nodule-malignancy again, and score them on patients that they never saw.

    python models/nodule-malignancy/make.py CROPS.npz NODULES.csv --run build/lung-nodule --out PACKAGE

The run is that of lung-nodule, which must be made before.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from wetread.infer.nodule_malignancy import APPEARANCE
from wetread.lab.appearance import save_appearance
from wetread.lab.malignancy_make import (
    DRAWS,
    SIZE,
    WORTH,
    calibrate,
    choose_stiffness,
    cross_validate,
    cross_validate_both,
    fit,
    fit_line,
    measure_rated,
)
from wetread.lab.nodule_make import read_nets
from wetread.measure.additive import save_curves
from wetread.stats.roc import auc_interval, compare_auc


def main() -> None:
    """Measure, score, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crops", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder that lung-nodule's make.py filled")
    parser.add_argument("--out", type=Path, required=True, help="package folder")
    options = parser.parse_args()
    nets = read_nets(options.run)
    rated = measure_rated(options.crops, options.labels, options.run, nets)
    chosen = rated.is_extreme
    truth, who = rated.rating[chosen] >= 4, rated.patients[chosen]
    both = cross_validate_both(rated)
    gain, shift = calibrate(rated, both)
    said, size = both[chosen], cross_validate(rated.only(SIZE))[chosen]
    print(len(truth), "nodules,", int(truth.sum()), "rated 4 or 5")
    print("AUC", auc_interval(truth, said, who))
    print("AUC of the curves alone", auc_interval(truth, cross_validate(rated)[chosen], who))
    print("AUC of size alone", auc_interval(truth, size, who))
    print("difference", compare_auc(truth, size, said, who))
    curves = fit(rated, choose_stiffness(rated), DRAWS)
    scaled = replace(curves, weights=gain * curves.weights, intercept=gain * curves.intercept + shift)
    save_curves(scaled, options.out / "curves.npz")
    lines = [fit_line(rated, net) for net in range(len(nets))]
    slopes, offsets = np.stack([one.slope for one in lines]), np.array([one.offset for one in lines])
    save_appearance(nets, gain * WORTH * slopes, gain * WORTH * offsets, options.out / APPEARANCE)


if __name__ == "__main__":
    main()
