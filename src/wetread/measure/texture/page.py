"""The page that lists every feature: docs/reference/features.md.

In: the catalogue, the differences.  Out: the page.  Never: a table kept by hand.
"""

from __future__ import annotations

import sys

from wetread.measure.texture.catalogue import FAMILIES, FEATURES, IMAGE_UNIT
from wetread.measure.texture.differences import AGREEMENT, DIFFERENCES, NOT_IBSI, PREPARATION
from wetread.measure.texture.region import MOST_VOXELS, MOST_WORK
from wetread.measure.texture.settings import MOST_LEVELS

_TITLES = {
    "first_order": "First order",
    "shape": "Shape",
    "glcm": "Grey level co-occurrence (GLCM)",
    "glrlm": "Grey level run lengths (GLRLM)",
    "glszm": "Grey level size zones (GLSZM)",
    "ngldm": "Neighbouring grey level dependence (NGLDM; pyradiomics: GLDM)",
    "ngtdm": "Neighbourhood grey tone differences (NGTDM)",
}

_HEAD = """\
# Features of a segment

Made from the code (`make features`). Names and codes are those of the Image Biomarker Standardisation
Initiative (IBSI reference manual, [arXiv:1612.07003](https://arxiv.org/abs/1612.07003)); the manual defines
each. `wetread measure` prints them, see [Measure a segmentation](../how-to/measure-a-segmentation.md).
`{unit}` stands for the unit of the image (HU for CT); nothing stands where a feature has no unit.

- All are three-dimensional, on the voxels as they are: nothing is interpolated.
- Neighbours are the 26 voxels around a voxel (Chebyshev distance 1); runs and pairs go in 13 directions.
- A feature whose definition divides by 0 for a region is undefined (`null`): of one voxel the co-occurrence,
  of a constant region skewness, kurtosis, correlation and information correlation 1.
- Refused: a mask that marks nothing (`empty-region`); a value inside that is no number (`not-finite`); more
  than {voxels} voxels in the box around the region, or {work} voxels times grey levels (`region-too-large`);
  bins that make more than {levels} levels (`invalid-texture-settings`).
"""

_DIFFERENCES = """\
## Where pyradiomics differs

Compared on three of its own test images, with six preparations each, as far as pyradiomics publishes
values: every feature that both have agrees to {agreement:g} of its value but for these.

| feature | pyradiomics | how it differs |
|---|---|---|
"""


def write_page() -> str:
    """Return the page."""
    head = _HEAD.format(unit=IMAGE_UNIT, voxels=MOST_VOXELS, work=MOST_WORK, levels=MOST_LEVELS)
    return "\n".join([head, *(_write_family(family) for family in FAMILIES), _write_differences()])


def _write_family(family: str) -> str:
    rows = [
        f"| `{one.name}` | {one.code} | {'' if one.unit == '1' else one.unit} |"
        for one in FEATURES.values()
        if one.family == family
    ]
    return "\n".join([f"## {_TITLES[family]}\n", "| name | IBSI | unit |", "|---|---|---|", *rows, ""])


def _write_differences() -> str:
    rows = [f"| `{one.ours}` | `{one.theirs}` | {one.why}{_within(one.within)} |" for one in DIFFERENCES]
    left_out = ", ".join(f"`{one}`" for one in NOT_IBSI)
    return "\n".join(
        [
            _DIFFERENCES.format(agreement=AGREEMENT) + "\n".join(rows),
            "",
            *(f"- {one}" for one in PREPARATION),
            f"- Not defined by IBSI and not measured: {left_out}.",
            "",
        ]
    )


def _within(share: float | None) -> str:
    return "" if share is None or share == AGREEMENT else f" Seen: up to {100 * share:g} %."


if __name__ == "__main__":
    sys.stdout.write(write_page())
