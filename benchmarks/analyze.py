"""Time and memory of one reading of a 300-slice 512 x 512 CT.

Run: ``python benchmarks/analyze.py [--slices 300] [--repeats 3] [--out]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from chest_reader import finish, read
from wetread.domain.volume import Grid, Volume
from wetread.phantom import PhantomOptions, PleuralOptions, ScannerOptions, Side, VisitOptions, make_visit


def make_volume(slices: int, air_ml: float) -> Volume:
    length = 330.0
    air = PleuralOptions(side=Side.LEFT, volume_ml=air_ml) if air_ml else None
    scanner = ScannerOptions(step_mm=length / slices, thickness_mm=1.25, length_mm=length)
    return make_visit(
        PhantomOptions(seed=7, scanner=scanner, visits=(VisitOptions(pneumothorax=air),))
    ).volume


def measure(path: Path, grid: Grid, queue: multiprocessing.Queue[tuple[float, float, float]]) -> None:
    """In a process of its own, so that making the phantom does not count."""
    volume = Volume(voxels=np.load(path), grid=grid)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    read(volume)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put((time.perf_counter() - start, time.process_time() - cpu, max(peak, before) / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    rows = []
    context = multiprocessing.get_context("spawn")
    for air_ml in (0.0, 300.0):
        volume = make_volume(options.slices, air_ml)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "volume.npy"
            np.save(path, volume.voxels)
            for _ in range(options.repeats):
                queue: multiprocessing.Queue[tuple[float, float, float]] = context.Queue()
                process = context.Process(target=measure, args=(path, volume.grid, queue))
                process.start()
                seconds, cpu, peak = queue.get()
                process.join()
                rows.append({"air_ml": air_ml, "seconds": seconds, "cpu_seconds": cpu, "peak_gb": peak})
                print(
                    f"air {air_ml:.0f} ml: {seconds:.1f} s, CPU {cpu:.1f} s, peak {peak:.2f} GB", flush=True
                )
    finish({"rows": rows, "slices": options.slices}, options.out, "analyze")


if __name__ == "__main__":
    main()
