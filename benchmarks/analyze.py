"""Time and memory of `wetread analyze` on a 300-slice 512 x 512 CT, files to documents.

Run: ``python benchmarks/analyze.py [--slices 300] [--repeats 3] [--out]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chest_reader import finish
from wetread.phantom import PhantomPlan, ScannerOptions, plan_options, write_phantom

WETREAD = str(Path(sys.executable).parent / "wetread")


def make_study(folder: Path, slices: int, air_ml: float) -> Path:
    length_mm = 330.0
    scanner = ScannerOptions(step_mm=length_mm / slices, length_mm=length_mm)
    air = f"{air_ml:g}:left" if air_ml else ""
    write_phantom(plan_options(PhantomPlan(seed=7, scanner=scanner, pneumothorax=air)), folder)
    return folder / "visit1"


def measure(study: Path, out: Path) -> dict[str, float]:
    """Wait for the command by wait4: its time, its processor time and its largest process, children too."""
    start = time.perf_counter()
    process = subprocess.Popen([WETREAD, "analyze", str(study), "--out", str(out)], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "largest_process_gb": usage.ru_maxrss / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    rows = []
    for air_ml in (0.0, 300.0):
        with tempfile.TemporaryDirectory() as name:
            study = make_study(Path(name) / "phantom", options.slices, air_ml)
            runs = [measure(study, Path(name) / "out") for _ in range(options.repeats)]
        rows += [{"air_ml": air_ml} | run for run in runs]
        for key in runs[0]:
            values = [run[key] for run in runs]
            low, middle, high = min(values), statistics.median(values), max(values)
            print(f"air {air_ml:3.0f} ml  {key:20} median {middle:6.2f}  {low:6.2f} to {high:6.2f}")
    finish({"rows": rows, "slices": options.slices}, options.out, "analyze")


if __name__ == "__main__":
    main()
