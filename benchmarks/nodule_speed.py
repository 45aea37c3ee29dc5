"""The network of ``lung-nodule`` over the lungs of a CT, against MONAI's sliding window over all of it.

Same weights (in PyTorch there), same recipe, same threads, block after block of planes, alternating. CPU
seconds are told beside those of the clock: on a machine that others use, only their ratio says something.

Run: ``python benchmarks/nodule_speed.py [--series DIR] [--planes 300] [--window 256] [--every 1] [--out]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from monai.inferers import sliding_window_inference
from onnx import numpy_helper

from chest_reader import finish
from wetread.dicom.header import read_instance
from wetread.domain.study import Series
from wetread.domain.volume import Volume
from wetread.imaging.recipe import apply_recipe, recipe_from_table
from wetread.imaging.volume import read_volume
from wetread.infer.nodule_lungs import PLANES, mark_lungs
from wetread.lab.nodule_make import Ensemble
from wetread.lab.nodule_net import NetPlan, NoduleNet
from wetread.measure.coarse import shrink
from wetread.measure.lungs import segment_lungs
from wetread.measure.orientation import to_upright
from wetread.measure.thorax import find_thorax
from wetread.phantom import PhantomPlan, ScannerOptions, plan_options, write_phantom
from wetread.registry import read_package
from wetread.registry.package import BUILTIN_FOLDER

MODEL = read_package(BUILTIN_FOLDER / "lung-nodule")
#: MONAI's own default.
OVERLAP = 0.25


def read_series(folder: Path) -> Volume:
    instances = tuple(read_instance(path) for path in sorted(folder.glob("*.dcm")))
    volume, _ = read_volume(Series(series_instance_uid=instances[0].series_instance_uid, instances=instances))
    return to_upright(volume)[0]


def read_torch() -> Ensemble:
    """Return the network in PyTorch with the weights of the ONNX file, whose convolutions hold the norms."""
    graph = onnx.load(str(BUILTIN_FOLDER / "lung-nodule" / MODEL.runtime.file)).graph
    values = {
        one.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(one).astype(np.float32))
        for one in graph.initializer
    }
    convolutions = {
        one.input[1].removesuffix(".weight"): [values[name] for name in one.input[1:]]
        for one in graph.node
        if one.op_type == "Conv"
    }
    count = len({name.split(".")[1] for name in convolutions})
    nets = [NoduleNet(NetPlan().widths) for _ in range(count)]
    ensemble = Ensemble(nets)
    for name, held in convolutions.items():
        parent, _, last = name.rpartition(".")
        module = ensemble.get_submodule(parent)
        weight, bias = held[0], held[1] if len(held) > 1 else None
        made = torch.nn.Conv2d(
            weight.shape[1], len(weight), weight.shape[2], padding="same", bias=bias is not None
        )
        made.weight.data.copy_(weight)
        if bias is not None:
            made.bias.data.copy_(bias)
        setattr(module, last, made)
        if hasattr(module, f"norm_{last}"):
            setattr(module, f"norm_{last}", torch.nn.Identity())
    return ensemble.eval().to(memory_format=torch.channels_last)


class Timed:
    """Seconds of the clock and of all threads."""

    def __enter__(self) -> Timed:
        self.begun = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock_s = time.perf_counter() - self.begun[0]
        self.cpu_s = time.process_time() - self.begun[1]


def slide(network: torch.nn.Module, voxels: np.ndarray, planes: slice, window: int) -> np.ndarray:
    """Every plane, all of it."""
    reach, found = MODEL.runtime.reach, []
    near = np.clip(np.arange(planes.start - reach, planes.stop + reach), 0, len(voxels) - 1)
    prepared = apply_recipe(recipe_from_table({"steps": MODEL.recipe}), voxels[near]).voxels
    with torch.inference_mode():
        for at in range(planes.stop - planes.start):
            slab = torch.from_numpy(np.ascontiguousarray(prepared[at : at + 2 * reach + 1], np.float32))
            answer = sliding_window_inference(
                slab[None].contiguous(memory_format=torch.channels_last),
                (window, window),
                4,
                network,
                OVERLAP,
                mode="gaussian",
            )
            found.append(answer[0, 0].numpy())
    return np.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, help="a folder of one CT series; left out: a phantom")
    parser.add_argument("--planes", type=int, default=300, help="of the phantom; of a series all")
    parser.add_argument("--block", type=int, default=24)
    parser.add_argument("--every", type=int, default=1, help="only each such block, for a first look")
    parser.add_argument("--window", type=int, default=256, help="MONAI's, pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", nargs="?", const="", default=None)
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.threads]))
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        place = options.series
        if place is None:
            scanner = ScannerOptions(step_mm=330.0 / options.planes, length_mm=330.0)
            write_phantom(plan_options(PhantomPlan(seed=7, scanner=scanner)), Path(folder))
            place = Path(folder) / "visit1"
        volume = read_series(place)
    coarse = shrink(volume, 2.0)
    lungs = segment_lungs(volume, coarse, find_thorax(coarse)) > 0
    network = read_torch()
    # Opened, planned and warm: neither pays for its start.
    mark_lungs(MODEL, volume.voxels[:1], np.ones_like(lungs[:1]))
    slide(network, volume.voxels, slice(0, 1), options.window)
    rows, hits, marked = [], 0, 0
    blocks = range(0, len(lungs), options.block)[:: options.every]
    for start in blocks:
        planes = slice(start, min(start + options.block, len(lungs)))
        near = slice(max(0, start - PLANES), min(planes.stop + PLANES, len(lungs)))
        own = np.zeros_like(lungs[near])
        own[start - near.start : planes.stop - near.start] = lungs[planes]
        with Timed() as mine:
            ours = mark_lungs(MODEL, volume.voxels[near], own)[start - near.start : planes.stop - near.start]
        with Timed() as other_time:
            theirs = slide(network, volume.voxels, planes, options.window)
        least = MODEL.parameters["outline_from"]
        one, other = ours >= least, (theirs >= least) & lungs[planes]
        hits, marked = hits + 2 * int((one & other).sum()), marked + int(one.sum()) + int(other.sum())
        rows.append((mine.clock_s, other_time.clock_s, mine.cpu_s, other_time.cpu_s))
        told = f"{mine.clock_s:.2f} s ({mine.cpu_s:.2f} CPU)"
        print(f"planes {planes.start} to {planes.stop}: {told}, MONAI {other_time.clock_s:.2f} s", flush=True)
    # Planes without lung cost next to nothing: a ratio of those says nothing.
    ratios = [row[3] / row[2] for row in rows if row[2] > 0.1]
    ours_s, theirs_s, ours_cpu_s, theirs_cpu_s = (sum(column) for column in zip(*rows, strict=True))
    result = {
        "planes": len(lungs) if options.every == 1 else options.block * len(rows),
        "shape": list(lungs.shape),
        "lung share": float(lungs.mean()),
        "seconds": ours_s,
        "monai seconds": theirs_s,
        "ratio": theirs_s / ours_s,
        "cpu seconds": ours_cpu_s,
        "monai cpu seconds": theirs_cpu_s,
        "cpu ratio": theirs_cpu_s / ours_cpu_s,
        "cpu ratio of blocks, least, middle, greatest": [min(ratios), statistics.median(ratios), max(ratios)],
        "dice in the lungs": hits / marked if marked else 1.0,
        "marked voxels": marked // 2,
        "window": options.window,
        "threads": options.threads,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("onnxruntime", "torch", "monai", "wetread")},
        "date": datetime.now(UTC).date().isoformat(),
    }
    for name, value in result.items():
        print(f"{name}: {value}")
    finish(result, options.out, "nodule_speed")


if __name__ == "__main__":
    main()
