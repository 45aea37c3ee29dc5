"""From files to features: the same numbers whatever way the images came."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code
from typer.testing import CliRunner

from tests.dicom.small_ct import SmallCt, write_ct
from tests.imaging.segmented import complete, make_segmentation, write_images, write_nifti
from tests.measure.texture.phantom import LEVELS, phantom
from wetread.cli import app
from wetread.errors import LabelsDoNotFit, UnreadableInstance
from wetread.measure.organ_code import Organ
from wetread.measure.organ_report import Limits, Sign
from wetread.measure.texture import FEATURES, TextureSettings, measure_texture
from wetread.quantify import quantify_path

SETTINGS = TextureSettings(bin_width=1.0)


@pytest.fixture
def dicom(tmp_path: Path) -> tuple[Path, Path]:
    """The digital phantom of the IBSI as CT and SEG; a second segment marks one voxel."""
    images = write_images(tmp_path / "ct", LEVELS.astype(float), spacing_mm=(2.0, 2.0, 2.0))
    one = np.zeros(LEVELS.shape, bool)
    one[1, 2, 2] = True
    segmentation = make_segmentation(images, [LEVELS > 0, one], labels=["phantom", "dot"])
    segmentation.save_as(tmp_path / "seg.dcm")
    return tmp_path / "ct", tmp_path / "seg.dcm"


def test_a_series_and_its_segmentation(dicom: tuple[Path, Path]) -> None:
    found = quantify_path(*dicom, SETTINGS)
    whole, dot = found.segments
    assert found.unit == "HU"
    assert (whole.label, dot.label) == ("phantom", "dot")
    assert whole.features is not None
    assert dict(whole.features.values) == pytest.approx(dict(measure_texture(*phantom(), SETTINGS).values))
    assert dot.features is not None
    assert dot.features.values["first_order_mean"] == 3
    assert dot.features.values["glcm_contrast"] is None


def test_a_label_map_gives_the_same(tmp_path: Path, dicom: tuple[Path, Path]) -> None:
    made = make_segmentation(sorted((tmp_path / "ct").iterdir()), [LEVELS > 0], "LABELMAP")
    made.save_as(tmp_path / "map.dcm")
    (whole,) = quantify_path(dicom[0], tmp_path / "map.dcm", SETTINGS).segments
    assert whole.features is not None
    assert dict(whole.features.values) == pytest.approx(dict(measure_texture(*phantom(), SETTINGS).values))


def test_nifti_gives_the_same(tmp_path: Path) -> None:
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    image = write_nifti(tmp_path / "image.nii", LEVELS.astype(np.int16), affine)
    labels = write_nifti(tmp_path / "labels.nii.gz", (LEVELS > 0).astype(np.uint8), affine)
    found = quantify_path(image, labels, SETTINGS)
    (whole,) = found.segments
    assert found.unit == "1"
    assert whole.features is not None
    assert dict(whole.features.values) == pytest.approx(dict(measure_texture(*phantom(), SETTINGS).values))


def test_one_bad_segment_does_not_stop_the_others(tmp_path: Path) -> None:
    image = np.array(LEVELS, np.float32)
    image[0, 0, 0] = np.nan
    labels = np.ones(LEVELS.shape, np.uint8)
    labels[0, 0] = 2
    write_nifti(tmp_path / "image.nii", image)
    write_nifti(tmp_path / "labels.nii", labels)
    first, second = quantify_path(tmp_path / "image.nii", tmp_path / "labels.nii", SETTINGS).segments
    assert first.features is not None
    assert second.features is None
    assert second.problem == "not-finite"


def test_an_empty_segment_says_so(tmp_path: Path, dicom: tuple[Path, Path]) -> None:
    ds = dcmread(dicom[1])
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
    ds.save_as(tmp_path / "edited.dcm")
    first, second = quantify_path(dicom[0], tmp_path / "edited.dcm", SETTINGS).segments
    assert first.features is not None
    assert (second.features, second.problem) == (None, "empty-region")


def test_what_does_not_belong_together_is_refused(tmp_path: Path, dicom: tuple[Path, Path]) -> None:
    images, segmentation = dicom
    nifti = write_nifti(tmp_path / "labels.nii", (LEVELS > 0).astype(np.uint8))
    with pytest.raises(LabelsDoNotFit, match="both"):
        quantify_path(images, nifti, SETTINGS)
    with pytest.raises(UnreadableInstance, match="Segmentation"):
        quantify_path(images, images, SETTINGS)
    with pytest.raises(UnreadableInstance, match="image"):
        quantify_path(segmentation, segmentation, SETTINGS)


def test_of_several_series_the_one_that_is_named_is_measured(
    tmp_path: Path, dicom: tuple[Path, Path]
) -> None:
    images, segmentation = dicom
    other = LEVELS.astype(float) * 2
    write_images(images, other, spacing_mm=(2.0, 2.0, 2.0), series_uid="1.2.3.55")
    whole, _ = quantify_path(images, segmentation, SETTINGS).segments
    assert whole.features is not None
    assert whole.features.values["first_order_maximum"] == 6
    ds = dcmread(segmentation)
    ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.66"
    ds.save_as(tmp_path / "edited.dcm")
    with pytest.raises(LabelsDoNotFit, match="which series"):
        quantify_path(images, tmp_path / "edited.dcm", SETTINGS)


def run(*words: object):
    return CliRunner().invoke(app, ["measure", *map(str, words)])


def test_the_command_prints_json(dicom: tuple[Path, Path]) -> None:
    result = run(*dicom, "--json", "--bin-width", 1, "--directions", "averaged")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["settings"] == {
        "bin_width": 1.0,
        "bin_count": None,
        "lowest": None,
        "directions": "averaged",
        "distance_voxels": 1,
        "interpolation": None,
    }
    assert set(answer["features"]) == set(FEATURES)
    assert answer["features"]["first_order_variance"] == {"ibsi": "ECT3", "unit": "HU2"}
    assert answer["features"]["shape_integrated_intensity"]["unit"] == "HU.mm3"
    whole, dot = answer["segments"]
    assert whole["code"]["value"] == "27925004"
    assert (whole["voxels"], whole["grey_levels"]) == (74, 6)
    assert whole["values"]["glcm_joint_maximum"] == pytest.approx(0.503, abs=5e-4)
    assert dot["values"]["glcm_joint_maximum"] is None


def test_the_command_prints_a_table(dicom: tuple[Path, Path]) -> None:
    result = run(*dicom, "--bin-count", 6)
    assert result.exit_code == 0, result.output
    assert (
        "Segment 1, phantom: 74 voxels, 6 grey levels (6 bins from minimum to maximum), 13 directions merged"
        in (result.output)
    )
    lines = {
        line.split()[1]: line.split()[2:] for line in result.output.splitlines() if line.startswith("  ")
    }
    assert set(lines) == set(FEATURES)
    assert lines["shape_volume_mesh"][-1] == "mm3"
    assert "undefined" in lines["glcm_contrast"]


def test_a_label_does_not_steer_the_terminal(dicom: tuple[Path, Path], tmp_path: Path) -> None:
    ds = dcmread(dicom[1])
    ds.SegmentSequence[0].SegmentLabel = "red \x1b[31m"
    ds.save_as(tmp_path / "edited.dcm")
    output = run(dicom[0], tmp_path / "edited.dcm").output
    assert "Segment 1, red ?[31m" in output


def test_settings_that_make_no_sense_are_one_sentence(dicom: tuple[Path, Path]) -> None:
    result = run(*dicom, "--bin-width", -1)
    assert result.exit_code != 0
    assert getattr(result.exception, "code", "") == "invalid-texture-settings"


def test_nothing_measured_is_exit_status_1(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "image.nii", np.full(LEVELS.shape, np.nan, np.float32))
    labels = write_nifti(tmp_path / "labels.nii", (LEVELS > 0).astype(np.uint8))
    result = run(image, labels)
    assert result.exit_code == 1
    assert "not-finite" in result.output


def coded(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


@pytest.fixture
def organs(tmp_path: Path) -> tuple[Path, Path]:
    """A liver of 30 HU and a coronary artery, whatever they are called."""
    hu = np.full((8, 40, 60), 0.0)
    liver, artery = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    liver[1:7, 5:35, 5:30] = True
    artery[2:6, 10:20, 40:50] = True
    hu[liver], hu[artery] = 30, 40
    hu[4, 12:16, 44] = 250
    edits = {"ContrastBolusAgent": "NONE", "KVP": "120", "SliceThickness": "2.5"}

    def edit(ds: Dataset, plane: int) -> None:
        complete(ds, plane)
        for keyword, value in edits.items():
            setattr(ds, keyword, value)

    stored = (hu + 1024).round().astype(np.int16)
    images = write_ct(
        tmp_path / "ct", SmallCt(shape=hu.shape, stored=stored, edit=edit, spacing_mm=(2.5, 1.0, 1.0))
    )
    made = make_segmentation(
        images,
        [liver, artery],
        labels=["spleen", "thing"],
        types=[coded("10200004", "Liver"), coded("41801008", "Coronary artery")],
    )
    made.save_as(tmp_path / "organs.dcm")
    return tmp_path / "ct", tmp_path / "organs.dcm"


def test_organs_are_measured_by_their_codes(organs: tuple[Path, Path]) -> None:
    found = quantify_path(*organs, SETTINGS, Limits(calcium_mg_per_ml_hu=0.8))
    liver, artery = found.segments
    assert (liver.organ.organ, artery.organ.organ) == (Organ.LIVER, Organ.CORONARY)
    assert liver.organ_measurements["mean_hu"] == pytest.approx(30)
    assert artery.organ_measurements["agatston_score"] == pytest.approx(4 * 2 * 2.5 / 3)
    assert artery.organ_measurements["calcium_mass_mg"] == pytest.approx(0.8 * 250 * 10 / 1000)
    assert [one.sign for one in found.organs.conclusions] == [Sign.FATTY_LIVER, Sign.CALCIUM]
    assert found.organs.phase_reason == "the header says that no contrast agent was given"


def test_the_command_says_what_organs_say(organs: tuple[Path, Path]) -> None:
    outcome = CliRunner().invoke(app, ["measure", *map(str, organs)])
    assert outcome.exit_code == 0, outcome.output
    assert "Segment 1, spleen: Liver: " in outcome.output
    assert "fatty-liver: mean density 30 HU" in outcome.output
    assert "Mass of coronary calcium: not evaluable" in outcome.output
    told = json.loads(CliRunner().invoke(app, ["measure", *map(str, organs), "--json"]).stdout)
    assert told["organs"]["phase"] == "native"
    assert told["organs"]["units"]["agatston_score"] == "1"
    assert [one["organ"] for one in told["segments"]] == ["liver", "coronary"]


def test_a_segmentation_without_organs_says_nothing_of_them(dicom: tuple[Path, Path]) -> None:
    found = quantify_path(*dicom, SETTINGS)
    assert found.organs is None
    assert [one.organ for one in found.segments] == [None, None]
