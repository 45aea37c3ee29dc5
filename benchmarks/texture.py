"""Time and memory of the IBSI features of a region that fills a box of noise.

Run: ``python benchmarks/texture.py [--shape 300 512 512] [--bin-width 25]``. Prints JSON.
"""

import argparse
import json
import resource
import time

import numpy as np

from wetread.domain.mask import Mask
from wetread.domain.volume import Grid, Volume
from wetread.measure.texture import TextureSettings, measure_texture


def make_volume(shape: tuple[int, int, int]) -> Volume:
    rng = np.random.default_rng(0)
    voxels = np.empty(shape, np.int16)
    for plane in voxels:
        plane[...] = rng.normal(-850, 60, plane.shape)
    grid = Grid(
        shape=shape,
        spacing_mm=(1.0, 0.7, 0.7),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    return Volume(voxels=voxels, grid=grid)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), help="planes, rows, columns")
    parser.add_argument("--bin-width", type=float, default=25.0)
    arguments = parser.parse_args()
    volume = make_volume(tuple(arguments.shape))
    mask = Mask.from_array(np.ones(volume.grid.shape, bool))
    before, begun = peak_mib(), time.perf_counter()
    found = measure_texture(volume, mask, TextureSettings(bin_width=arguments.bin_width))
    seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {
                "voxels": found.voxel_count,
                "grey_levels": found.level_count,
                "seconds": round(seconds, 1),
                "mib_of_image_and_mask": round(before),
                "peak_mib": round(peak_mib()),
            }
        )
    )


if __name__ == "__main__":
    main()
