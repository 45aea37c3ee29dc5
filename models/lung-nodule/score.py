"""Score lung-nodule on patients that each network never saw, at the threshold of the package.

python models/lung-nodule/score.py CROPS.npz NODULES.csv --run build/lung-nodule
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wetread.lab.nodule_net import FOLDS
from wetread.lab.nodule_score import score_folds
from wetread.lab.read import read_samples
from wetread.registry import read_models


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crops", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder that make.py filled")
    parser.add_argument("--fold", type=int, help="this one alone: the threshold was chosen on 0 and 1")
    options = parser.parse_args()
    samples = read_samples(options.crops, labels=options.labels)
    folds = range(FOLDS) if options.fold is None else [options.fold]
    found = score_folds(read_models()["lung-nodule"], samples, options.run, folds)
    for name, one in found.intervals.items():
        print(f"{name} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})")
    for rate in (0.4, 0.6, 0.8, 1.0):
        best = max((one.sensitivity for one in found.froc if one.false_positives <= rate), default=0.0)
        print(f"sensitivity at {rate} false parts a crop: {best:.3f}")


if __name__ == "__main__":
    main()
