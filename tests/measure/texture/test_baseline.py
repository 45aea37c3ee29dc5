"""Against the values that pyradiomics publishes of its own test images (shared data)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.dicom.small_ct import data_folder
from tests.measure.texture.nrrd import read_nrrd
from tests.measure.texture.phantom import volume_of
from wetread.domain.mask import Mask
from wetread.domain.volume import Volume
from wetread.measure.texture import FEATURES, Aggregation, TextureSettings, measure_texture
from wetread.measure.texture.differences import AGREEMENT, DIFFERENCES, NOT_IBSI

IMAGES = ("brain1", "brain2", "breast1")
#: What pyradiomics calls them, in the order of our families.
THEIRS = {
    "first_order": (
        *("Mean", "Variance", "Skewness", "Kurtosis", "Median", "Minimum", "10Percentile", "90Percentile"),
        *("Maximum", "InterquartileRange", "Range", "MeanAbsoluteDeviation", "RobustMeanAbsoluteDeviation"),
        *("", "", "", "Energy", "RootMeanSquared", "Entropy", "Uniformity"),
    ),
    "shape": (
        *("MeshVolume", "VoxelVolume", "SurfaceArea", "SurfaceVolumeRatio", "", "", "", "Sphericity", ""),
        *("", "Maximum3DDiameter", "MajorAxisLength", "MinorAxisLength", "LeastAxisLength", "Elongation"),
        *("Flatness", "", "", "", "", "", ""),
    ),
    "glcm": (
        *("MaximumProbability", "JointAverage", "SumSquares", "JointEntropy", "DifferenceAverage"),
        *("DifferenceVariance", "DifferenceEntropy", "SumAverage", "", "SumEntropy", "JointEnergy"),
        *("Contrast", "", "Id", "Idn", "Idm", "Idmn", "InverseVariance", "Correlation", "Autocorrelation"),
        *("ClusterTendency", "ClusterShade", "ClusterProminence", "Imc1", "Imc2"),
    ),
    "glrlm": (
        *("ShortRunEmphasis", "LongRunEmphasis", "LowGrayLevelRunEmphasis", "HighGrayLevelRunEmphasis"),
        *("ShortRunLowGrayLevelEmphasis", "ShortRunHighGrayLevelEmphasis", "LongRunLowGrayLevelEmphasis"),
        *("LongRunHighGrayLevelEmphasis", "GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized"),
        *("RunLengthNonUniformity", "RunLengthNonUniformityNormalized", "RunPercentage"),
        *("GrayLevelVariance", "RunVariance", "RunEntropy"),
    ),
    "glszm": (
        *("SmallAreaEmphasis", "LargeAreaEmphasis", "LowGrayLevelZoneEmphasis", "HighGrayLevelZoneEmphasis"),
        *("SmallAreaLowGrayLevelEmphasis", "SmallAreaHighGrayLevelEmphasis", "LargeAreaLowGrayLevelEmphasis"),
        *("LargeAreaHighGrayLevelEmphasis", "GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized"),
        *("SizeZoneNonUniformity", "SizeZoneNonUniformityNormalized", "ZonePercentage", "GrayLevelVariance"),
        *("ZoneVariance", "ZoneEntropy"),
    ),
    "ngldm": (
        *("SmallDependenceEmphasis", "LargeDependenceEmphasis", "LowGrayLevelEmphasis"),
        *("HighGrayLevelEmphasis", "SmallDependenceLowGrayLevelEmphasis"),
        *("SmallDependenceHighGrayLevelEmphasis", "LargeDependenceLowGrayLevelEmphasis"),
        *("LargeDependenceHighGrayLevelEmphasis", "GrayLevelNonUniformity", "", "DependenceNonUniformity"),
        *("DependenceNonUniformityNormalized", "", "GrayLevelVariance", "DependenceVariance"),
        *("DependenceEntropy", ""),
    ),
    "ngtdm": ("Coarseness", "Contrast", "Busyness", "Complexity", "Strength"),
}
FILES = {"first_order": "firstorder", "ngldm": "gldm"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the preparations that the baseline was made with."""

    suffix: str
    bin_width: float | None = 25.0
    bin_count: int | None = None
    aggregation: Aggregation = Aggregation.AVERAGED
    families: tuple[str, ...] = tuple(THEIRS)


VARIANTS = (
    Variant(suffix=""),
    Variant(suffix="_FBN", bin_width=None, bin_count=64),
    Variant(suffix="_combined", aggregation=Aggregation.MERGED),
    Variant(suffix="_normalization", bin_width=5.0),
    Variant(suffix="_resegmentation"),
    Variant(suffix="_flatRegion", bin_width=5000.0),
)


def find_pairs() -> dict[str, str]:
    """Return our name -> theirs."""
    pairs = {}
    for family, names in THEIRS.items():
        ours = [name for name, feature in FEATURES.items() if feature.family == family]
        file = FILES.get(family, family)
        pairs |= {one: f"{file}_{name}" for one, name in zip(ours, names, strict=True) if name}
    return pairs


@cache
def read_baseline(folder: Path, column: str) -> dict[str, float]:
    """Return theirs -> value, of one image and preparation."""
    found = {}
    for path in folder.glob("baseline/*.csv"):
        rows = list(csv.reader(path.read_text().splitlines()))
        if column not in rows[0] or path.stem == "baseline_shape2D":
            continue
        place = rows[0].index(column)
        shifted = any("voxelArrayShift': 2000" in row[place] for row in rows)
        for row in rows[1:]:
            name = row[0].removeprefix("original_")
            if name == row[0] or not row[place]:
                continue
            if not (shifted and name in {"firstorder_Energy", "firstorder_RootMeanSquared"}):
                found[name] = float(row[place])
    return found


def prepare(folder: Path, image: str, variant: Variant) -> tuple[Volume, np.ndarray]:
    """Read an image and its label, prepared as the variant says."""
    voxels, spacing_mm = read_nrrd(folder / f"{image}_image.nrrd")
    label, _ = read_nrrd(folder / f"{image}_label.nrrd")
    inside = label == 1
    if variant.suffix == "_normalization":
        voxels = 100 * (voxels - voxels.mean()) / voxels.std(ddof=1)
    if variant.suffix == "_resegmentation":
        mean, spread = voxels[inside].mean(), voxels[inside].std()
        inside &= np.abs(voxels - mean) <= 3 * spread
    return volume_of(voxels, spacing_mm), inside


def settings_for(volume: Volume, inside: np.ndarray, variant: Variant) -> TextureSettings:
    lowest = None
    if variant.bin_width:
        least = float(volume.voxels[inside].min())
        lowest = least - least % variant.bin_width  # as pyradiomics does, see differences.PREPARATION
    return TextureSettings(
        bin_width=variant.bin_width,
        bin_count=variant.bin_count,
        lowest=lowest,
        aggregation=variant.aggregation,
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.suffix or "plain")
@pytest.mark.parametrize("image", IMAGES)
def test_values_agree_where_definitions_do(image: str, variant: Variant) -> None:
    folder = data_folder("radiomics")
    volume, inside = prepare(folder, image, variant)
    settings = settings_for(volume, inside, variant)
    values = measure_texture(volume, Mask.from_array(inside), settings).values
    theirs = read_baseline(folder, image + variant.suffix)
    differences = {one.ours: one for one in DIFFERENCES}
    compared = 0
    for ours, name in find_pairs().items():
        if name not in theirs:
            continue
        difference = differences.get(ours)
        share = AGREEMENT if difference is None else difference.within
        if share is None or (values[ours] is None and difference is not None):
            continue
        assert values[ours] == pytest.approx(theirs[name], rel=share, abs=1e-12), (ours, name)
        compared += 1
    assert compared >= (90 if variant.suffix == "" else 37)


def test_the_energy_is_compared_where_nothing_was_added() -> None:
    folder = data_folder("radiomics")
    plain = read_baseline(folder, "brain1")
    assert "firstorder_Energy" not in plain
    assert "firstorder_Energy" in read_baseline(folder, "brain1_normalization")


@pytest.mark.parametrize("image", IMAGES)
def test_the_differences_are_what_is_said_of_them(image: str) -> None:
    folder = data_folder("radiomics")
    volume, inside = prepare(folder, image, VARIANTS[0])
    values = measure_texture(volume, Mask.from_array(inside), TextureSettings()).values
    theirs = read_baseline(folder, image)
    assert values["first_order_excess_kurtosis"] == pytest.approx(theirs["firstorder_Kurtosis"] - 3)
    voxels = np.count_nonzero(inside)
    for axis in ("Major", "Minor", "Least"):
        expected = theirs[f"shape_{axis}AxisLength"] * np.sqrt(voxels / (voxels - 1))
        assert values[f"shape_{axis.lower()}_axis_length"] == pytest.approx(expected)
    flat = read_baseline(folder, f"{image}_flatRegion")
    assert (flat["glcm_Correlation"], flat["glcm_Imc1"]) == (1, 0)


def test_nothing_of_theirs_is_passed_over() -> None:
    """What pyradiomics has is compared, listed as different, or listed as not IBSI's."""
    theirs = {name for image in IMAGES for name in read_baseline(data_folder("radiomics"), image)}
    known = set(find_pairs().values()) | set(NOT_IBSI)
    assert theirs <= known
    assert {one.theirs for one in DIFFERENCES} <= set(find_pairs().values())
