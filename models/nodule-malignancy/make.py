"""Make curves and appearance of nodule-malignancy again, and score them on patients that they never saw.

    python models/nodule-malignancy/make.py CROPS.npz NODULES.csv --run build/lung-nodule --out PACKAGE

The run is that of lung-nodule, which must be made before. The networks that are trained on ratings are put
there too: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

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
    cross_validate_stack,
    fit,
    fit_line,
    measure_rated,
    read_rated,
)
from wetread.lab.nodule_make import read_nets
from wetread.lab.rating_make import Judge, judge_unseen, train_raters
from wetread.lab.rating_net import RatingPlan
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
    torch.set_num_threads(1)
    data = options.crops, options.labels, options.run
    raters = train_raters(
        read_rated(*data),
        options.run,
        RatingPlan(),
        told=lambda fold, seed, step, loss: print(
            f"fold {fold} seed {seed} step {step} loss {loss:.3f}", flush=True
        ),
    )
    nets = read_nets(options.run)
    rated = replace(measure_rated(*data, nets), judged=judge_unseen(read_rated(*data), raters))
    chosen = rated.is_extreme
    truth, who = rated.rating[chosen] >= 4, rated.patients[chosen]
    both = cross_validate_both(rated)
    gain, shift = calibrate(rated, both)
    said, size = both[chosen], cross_validate(rated.only(SIZE))[chosen]
    print(len(truth), "nodules,", int(truth.sum()), "rated 4 or 5")
    print("AUC", auc_interval(truth, said, who))
    print("AUC of the curves alone", auc_interval(truth, cross_validate(rated)[chosen], who))
    without = replace(rated, judged=np.zeros(0))
    unjudged = cross_validate_both(without)[chosen]
    print("AUC without networks trained on ratings", auc_interval(truth, unjudged, who))
    print("difference", compare_auc(truth, unjudged, said, who))
    print("AUC of networks trained on ratings alone", auc_interval(truth, rated.judged[chosen], who))
    stacks = [cross_validate_stack(one)[chosen] for one in (without, rated)]
    print("AUC of a logistic stack without and with them", [auc_interval(truth, one, who) for one in stacks])
    print("difference of the latter to the model without them", compare_auc(truth, unjudged, stacks[1], who))
    print("AUC of size alone", auc_interval(truth, size, who))
    print("difference", compare_auc(truth, size, said, who))
    curves = fit(rated, choose_stiffness(rated), DRAWS)
    scaled = replace(curves, weights=gain * curves.weights, intercept=gain * curves.intercept + shift)
    save_curves(scaled, options.out / "curves.npz")
    lines = [fit_line(rated, net) for net in range(len(nets))]
    slopes, offsets = np.stack([one.slope for one in lines]), np.array([one.offset for one in lines])
    worth = gain * WORTH
    judge = Judge([one for some in raters for one in some])
    save_appearance(nets, worth * slopes, worth * offsets, options.out / APPEARANCE, judge, worth)


if __name__ == "__main__":
    main()
