"""Segments of Segmentations and label maps, on the grid of the images or not at all."""

import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ImplicitVRLittleEndian

from tests.dicom.small_ct import data_folder
from tests.imaging.segmented import make_segmentation, write_images, write_nifti
from wetread.dicom.header import read_instance
from wetread.domain.study import group_instances
from wetread.errors import LabelsDoNotFit
from wetread.imaging.label_map import iter_labels
from wetread.imaging.nifti import read_nifti_volume
from wetread.imaging.segmentation import read_mask
from wetread.imaging.segments import iter_segments, read_names
from wetread.imaging.volume import read_volume

HU = np.arange(5 * 12 * 14).reshape(5, 12, 14) - 500.0
FIRST, SECOND = np.zeros(HU.shape, bool), np.zeros(HU.shape, bool)
FIRST[1:3, 4:8, 5:9] = True
SECOND[2:5, 6:10, 0:7] = True


def grid_of(paths):
    (study,) = group_instances([read_instance(path) for path in paths])
    return read_volume(study.series[0])[0].grid


def segments_of(tmp_path: Path, masks=(FIRST, SECOND), edit=None, kind="BINARY", **changes):
    paths = write_images(tmp_path / "ct", HU, **changes)
    segmentation = make_segmentation(paths, masks, kind, ["Knoten", "two"])
    if edit:
        edit(segmentation)
    segmentation.save_as(tmp_path / "seg.dcm")
    return list(iter_segments(read_instance(tmp_path / "seg.dcm"), grid_of(paths)))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_each_segment_is_its_own_mask(tmp_path: Path, kind: str) -> None:
    first, second = segments_of(tmp_path, kind=kind)
    assert (first.number, first.label, second.number, second.label) == (1, "Knoten", 2, "two")
    assert first.code is not None
    assert (first.code.value, first.code.scheme, first.code.meaning) == ("27925004", "SCT", "Nodule")
    assert np.array_equal(first.mask.to_array(), FIRST)
    assert np.array_equal(second.mask.to_array(), SECOND)


def test_data_sets_without_vr_say_the_same(tmp_path: Path) -> None:
    def edit(ds) -> None:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    first, second = segments_of(tmp_path, edit=edit)
    assert first.label == "Knoten"
    assert np.array_equal(second.mask.to_array(), SECOND)


def test_images_that_lie_another_way(tmp_path: Path) -> None:
    first, _ = segments_of(tmp_path, axes=np.diag([-1.0, -1.0, 1.0]))
    assert np.array_equal(first.mask.to_array(), FIRST)


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    def edit(ds) -> None:
        ds.FrameOfReferenceUID = "1.2.3.4.5"

    with pytest.raises(LabelsDoNotFit, match="frame of reference"):
        segments_of(tmp_path, edit=edit)


@pytest.mark.parametrize("moved_mm", [0.2, 1.0])
def test_frames_between_planes_are_refused(tmp_path: Path, moved_mm: float) -> None:
    def edit(ds) -> None:
        for frame in ds.PerFrameFunctionalGroupsSequence:
            place = frame.PlanePositionSequence[0]
            x, y, z = place.ImagePositionPatient
            place.ImagePositionPatient = [x, y, float(z) + moved_mm]

    with pytest.raises(LabelsDoNotFit, match="pixels of its series"):
        segments_of(tmp_path, edit=edit)


def test_pixels_of_another_size_are_refused(tmp_path: Path) -> None:
    def edit(ds) -> None:
        ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.6, 0.75]

    with pytest.raises(LabelsDoNotFit, match="pixels of its series"):
        segments_of(tmp_path, edit=edit)


def test_smaller_frames_that_lie_on_the_pixels_are_taken(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "ct", HU)
    # The same pixels of a part of the image: 8 rows from row 3 on, 10 columns from column 2 on.
    part = write_images(
        tmp_path / "part", HU[:, 3:11, 2:12], origin_lps_mm=(-20 + 2 * 0.75, -30 + 3 * 0.5, 100.0)
    )
    segmentation = make_segmentation(part, [FIRST[:, 3:11, 2:12]])
    segmentation.save_as(tmp_path / "seg.dcm")
    instance = read_instance(tmp_path / "seg.dcm")
    (one,) = iter_segments(instance, grid_of(paths))
    assert np.array_equal(one.mask.to_array(), FIRST)
    assert np.array_equal(read_mask(instance, grid_of(paths)), FIRST)
    # The other way round it hangs over the edge.
    make_segmentation(paths, [FIRST]).save_as(tmp_path / "large.dcm")
    with pytest.raises(LabelsDoNotFit):
        next(iter_segments(read_instance(tmp_path / "large.dcm"), grid_of(part)))


def test_frames_that_show_no_known_segment_are_refused(tmp_path: Path) -> None:
    def edit(ds) -> None:
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7

    with pytest.raises(LabelsDoNotFit, match="which segment"):
        segments_of(tmp_path, edit=edit)


def test_more_segments_than_anybody_draws_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wetread.imaging.segments._MOST_SEGMENTS", 1)
    with pytest.raises(LabelsDoNotFit, match="segments"):
        segments_of(tmp_path)


@pytest.mark.parametrize(
    ("images", "segmentation"),
    [
        ("ct-3slice", "liver.dcm"),
        ("ct-3slice", "partial_overlaps.dcm"),
        ("23x38x3/image", "23x38x3/seg/label.seg"),  # frames begin within bytes
        ("24x38x3/multiframe", "24x38x3/seg/label.seg"),
    ],
)
def test_segmentations_of_another_toolkit(tmp_path: Path, images: str, segmentation: str) -> None:
    folder = data_folder("dicom_objects") / "dcmqi" / "segmentations"
    paths = [unpack(one, tmp_path) for one in sorted((folder / images).glob("*.zst"))]
    seg = unpack(folder / f"{segmentation}.zst", tmp_path)
    ds = dcmread(seg)
    shown = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in ds.PerFrameFunctionalGroupsSequence
    ]
    pixels = ds.pixel_array.reshape(len(shown), -1).sum(axis=1)
    expected = [
        (one.SegmentNumber, one.SegmentLabel, int(pixels[np.array(shown) == one.SegmentNumber].sum()))
        for one in ds.SegmentSequence
    ]
    found = iter_segments(read_instance(seg), grid_of(paths))
    assert [(one.number, one.label, one.mask.voxel_count) for one in found] == expected


def unpack(path: Path, folder: Path) -> Path:
    """Unpack a file of the shared data."""
    target = folder / path.stem
    subprocess.run(["zstd", "-dqf", str(path), "-o", str(target)], check=True)
    return target


def labels_of(tmp_path: Path, labels: np.ndarray, affine=None):
    image = read_nifti_volume(write_nifti(tmp_path / "image.nii.gz", HU))
    own = read_nifti_volume(write_nifti(tmp_path / "labels.nii.gz", labels, affine))
    return list(iter_labels(own, image.grid))


def test_each_label_is_its_own_mask(tmp_path: Path) -> None:
    first, second = labels_of(tmp_path, (FIRST + 4 * (SECOND & ~FIRST)).astype(np.uint8))
    assert (first.number, second.number) == (1, 4)
    assert np.array_equal(first.mask.to_array(), FIRST)
    assert np.array_equal(second.mask.to_array(), SECOND & ~FIRST)


def test_a_label_map_of_a_part_is_taken_where_its_voxels_lie_on_those_of_the_image(tmp_path: Path) -> None:
    affine = np.diag([-0.6, -0.7, 2.0, 1.0])
    affine[:3, 3] = (-0.6 * 3, -0.7 * 2, 2.0)
    (first,) = labels_of(tmp_path, FIRST[1:, 2:, 3:].astype(np.uint8), affine)
    assert np.array_equal(first.mask.to_array(), FIRST)


@pytest.mark.parametrize("change", ["moved", "spacing", "turned"])
def test_a_label_map_elsewhere_is_refused(tmp_path: Path, change: str) -> None:
    affine = np.diag([-0.6, -0.7, 2.0, 1.0])
    if change == "moved":
        affine[2, 3] = 0.5
    elif change == "spacing":
        affine[0, 0] = -0.65
    else:
        angle = np.deg2rad(3)
        affine[:2, :2] = [
            [-0.6 * np.cos(angle), 0.7 * np.sin(angle)],
            [-0.6 * np.sin(angle), -0.7 * np.cos(angle)],
        ]
    with pytest.raises(LabelsDoNotFit, match="voxels of the image"):
        labels_of(tmp_path, FIRST.astype(np.uint8), affine)


def test_a_label_beyond_the_image_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((7, 12, 14), np.uint8)
    labels[6, 3, 3] = 1
    with pytest.raises(LabelsDoNotFit, match="beyond"):
        labels_of(tmp_path, labels)


@pytest.mark.parametrize("value", [0.5, -1.0])
def test_probabilities_are_no_labels(tmp_path: Path, value: float) -> None:
    with pytest.raises(LabelsDoNotFit, match="whole numbers"):
        labels_of(tmp_path, FIRST.astype(np.float32) * value)


def label_map(tmp_path: Path, edit=None):
    paths = write_images(tmp_path / "ct", HU)
    made = highdicom.seg.Segmentation(
        source_images=[dcmread(path) for path in paths],
        pixel_array=(FIRST * 3 + (SECOND & ~FIRST) * 7).astype(np.uint8),
        segmentation_type="LABELMAP",
        segment_descriptions=[
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=f"thing {number}",
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=codes.SCT.Nodule,
                algorithm_type="MANUAL",
                tracking_uid=f"2.25.{number}",
                tracking_id="x",
            )
            for number in (3, 7)
        ],
        series_instance_uid="1.2.3.7",
        series_number=9,
        sop_instance_uid="1.2.3.7.1",
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
    )
    if edit:
        edit(made)
    made.save_as(tmp_path / "map.dcm")
    return read_instance(tmp_path / "map.dcm"), grid_of(paths)


def test_a_label_map_is_split_into_its_segments(tmp_path: Path) -> None:
    instance, grid = label_map(tmp_path)
    first, second = iter_segments(instance, grid)
    assert (first.number, first.label, first.tracking_uid, first.algorithm_type) == (
        3,
        "thing 3",
        "2.25.3",
        "MANUAL",
    )
    assert np.array_equal(first.mask.to_array(), FIRST)
    assert np.array_equal(second.mask.to_array(), SECOND & ~FIRST)
    assert [one.number for one in read_names(instance)] == [3, 7]


def test_a_label_map_with_a_number_that_is_no_segments_is_refused(tmp_path: Path) -> None:
    def edit(ds) -> None:
        ds.SegmentSequence = [one for one in ds.SegmentSequence if one.SegmentNumber != 7]

    instance, grid = label_map(tmp_path, edit)
    with pytest.raises(LabelsDoNotFit, match="which segment"):
        list(iter_segments(instance, grid))


def test_a_number_that_two_segments_bear_is_refused(tmp_path: Path) -> None:
    def edit(ds) -> None:
        for one in ds.SegmentSequence:
            one.SegmentNumber = 3

    instance, _ = label_map(tmp_path, edit)
    with pytest.raises(LabelsDoNotFit, match="which segment"):
        read_names(instance)
