"""Make the weights of lung-nodule again: three networks, each trained without one third of the patients.

    python models/lung-nodule/make.py CROPS.npz --run build/lung-nodule --out PACKAGE

Some 68 minutes on one core of an AMD EPYC with AVX-512 bf16 (2026-11-26, other work beside it). A run that
was stopped goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from wetread.lab.nodule_make import export_ensemble, judge_folds, read_all, train_folds
from wetread.lab.nodule_net import NetPlan


def main() -> None:
    """Train, judge those that were not seen, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder of networks and probabilities")
    parser.add_argument("--out", type=Path, required=True, help="package folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    crops = read_all(options.crops)
    nets = train_folds(
        crops,
        options.run,
        NetPlan(),
        lambda fold, step, loss: print(f"fold {fold} step {step} loss {loss:.3f}", flush=True),
    )
    judge_folds(crops, nets, options.run)
    export_ensemble(nets, options.out / "lung-nodule.onnx")


if __name__ == "__main__":
    main()
