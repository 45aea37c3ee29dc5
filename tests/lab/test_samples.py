"""Labelled images are read as they are, and refused with a code where labels do not fit."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from tests.dicom.small_ct import SmallCt, data_folder, write_ct
from wetread.errors import InvalidSamples, LabelsDoNotFit, NotFinite, PatientInTwoSplits
from wetread.lab.arrays import Arrays
from wetread.lab.read import read_samples
from wetread.lab.samples import require_disjoint

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (6, 8, 9), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1, 1, 0])
VOTES = np.zeros((3, 8, 9), np.uint8)
VOTES[1, 2:5, 2:5] = 1
VOTES[1, 3, 3] = 3


def save(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def crops(path: Path, **more: object) -> Path:
    image = RNG.integers(0, 255, VOTES.shape, dtype=np.uint8)
    names = ("P-1_n0", "P-1_n1", "P-2_n0")
    arrays = {f"{name}_img": image for name in names} | {f"{name}_votes": VOTES for name in names}
    arrays["P-2_n0_votes"] = (VOTES > 0).astype(np.uint8)
    return save(path, **(arrays | more))


def test_images_with_labels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", images=IMAGES, labels=LABELS[:, None], patients=list("aabbcc"))
    found = read_samples(path)
    assert [one.patient for one in found.samples] == list("aabbcc")
    assert [one.label for one in found.samples] == LABELS.tolist()
    assert not found.notes
    picture = found.load(found.samples[2])
    assert picture.voxels.shape == (1, 8, 9)
    assert (picture.voxels[0] == IMAGES[2]).all()


def test_who_names_no_patients_is_told_what_is_assumed(tmp_path: Path) -> None:
    found = read_samples(save(tmp_path / "a.npz", images=IMAGES, labels=LABELS))
    assert len(found.patients) == 6
    assert "no patients" in found.notes[0]


def test_parts_of_a_file(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES[:2],
        test_labels=LABELS[:2],
    )
    assert len(read_samples(path, part="train").samples) == 6
    judged = read_samples(path)
    assert len(judged.samples) == 2
    assert "2 images stand in the part train as well" in judged.notes[-1]
    with pytest.raises(InvalidSamples, match="test, train"):
        read_samples(path, part="val")


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        train_images=IMAGES,
        train_labels=LABELS,
        train_patients=list("abcdef"),
        test_images=IMAGES,
        test_labels=LABELS,
        test_patients=list("ghijkf"),
    )
    with pytest.raises(PatientInTwoSplits, match="patients=1"):
        read_samples(path)


def test_masks_with_spacing(tmp_path: Path) -> None:
    volumes = RNG.normal(size=(2, 3, 8, 9)).astype(np.float32)
    path = save(tmp_path / "a.npz", images=volumes, masks=volumes > 1, spacing_mm=[[2, 1, 1], [3, 0.5, 0.5]])
    found = read_samples(path)
    picture = found.load(found.samples[1])
    assert found.has_masks
    assert picture.spacing_mm == (3.0, 0.5, 0.5)
    assert (picture.mask == (volumes[1] > 1)).all()


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"images": IMAGES, "labels": LABELS[:5]}, LabelsDoNotFit),
        ({"images": IMAGES, "labels": np.tile(LABELS, (2, 1)).T}, LabelsDoNotFit),
        ({"images": IMAGES}, LabelsDoNotFit),
        ({"images": IMAGES, "labels": LABELS, "patients": list("abc")}, LabelsDoNotFit),
        ({"images": IMAGES, "labels": LABELS, "ids": list("aabcde")}, InvalidSamples),
        ({"images": IMAGES, "masks": IMAGES[:, 1:] > 9}, LabelsDoNotFit),
        ({"images": IMAGES, "labels": np.array([0, 1, 0, 1, 1, np.nan])}, NotFinite),
        ({"images": np.zeros((6, 8, 8, 3), np.uint8), "labels": LABELS}, InvalidSamples),
        ({"images": np.zeros((0, 8, 8), np.uint8), "labels": LABELS[:0]}, InvalidSamples),
        ({"images": IMAGES.astype("U3"), "labels": LABELS}, InvalidSamples),
        ({"pictures": IMAGES, "labels": LABELS}, InvalidSamples),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, object], error: type[InvalidSamples]
) -> None:
    with pytest.raises(error) as caught:
        read_samples(save(tmp_path / "a.npz", **arrays))
    assert caught.type is error


def test_voxels_that_are_no_numbers(tmp_path: Path) -> None:
    images = IMAGES.astype(np.float32)
    images[3, 0, 0] = np.nan
    found = read_samples(save(tmp_path / "a.npz", images=images, labels=LABELS))
    found.load(found.samples[2])
    with pytest.raises(NotFinite, match="sample=00003"):
        found.load(found.samples[3])


def test_crops_and_their_ratings(tmp_path: Path) -> None:
    table = tmp_path / "n.csv"
    table.write_text(
        "patient,nodule,readers,malignancy,side\nP-1,0,4,4.5,left\nP-1,1,3,3,right\nP-2,0,1,,left\n"
    )
    found = read_samples(crops(tmp_path / "a.npz"), labels=table)
    assert [(one.patient, one.label, one.readers) for one in found.samples] == [
        ("P-1", 1.0, 4),
        ("P-1", None, 3),
        ("P-2", None, 1),
    ]
    assert found.samples[0].groups["side"] == "left"
    # Two votes of three; one vote where only one reader marked it.
    assert found.load(found.samples[0]).mask.sum() == 1
    assert found.load(found.samples[2]).mask.sum() == 9
    without = read_samples(crops(tmp_path / "a.npz"))
    assert [one.readers for one in without.samples] == [3, 3, 1]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"P-3_n0_img": VOTES}, LabelsDoNotFit),
        ({"P-1_n0_votes": VOTES[:2]}, LabelsDoNotFit),
        ({"P-1_n0_votes": VOTES / 2}, LabelsDoNotFit),
        ({"odd_img": VOTES, "odd_votes": VOTES}, InvalidSamples),
    ],
)
def test_crops_that_do_not_fit(tmp_path: Path, more: dict[str, object], error: type[InvalidSamples]) -> None:
    with pytest.raises(error):
        read_samples(crops(tmp_path / "a.npz", **more))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("patient,nodule,malignancy\nP-1,0,4\n", LabelsDoNotFit),
        ("patient,nodule,malignancy\nP-1,0,4\nP-1,0,2\n", LabelsDoNotFit),
        ("patient,nodule,malignancy\nP-1,0,high\nP-1,1,1\nP-2,0,1\n", LabelsDoNotFit),
        ("patient,nodule,malignancy\nP-1,0,nan\nP-1,1,1\nP-2,0,1\n", NotFinite),
        ("patient,nodule,malignancy\nP-1,0\n", InvalidSamples),
        ("name,malignancy\nP-1,0\n", InvalidSamples),
        ("\0\0\0", InvalidSamples),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, text: str, error: type[InvalidSamples]) -> None:
    table = tmp_path / "n.csv"
    table.write_text(text)
    with pytest.raises(error):
        read_samples(crops(tmp_path / "a.npz"), labels=table)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (marker,)

    path = save(tmp_path / "a.npz", images=IMAGES, labels=np.array([Bomb()], dtype=object))
    with pytest.raises(InvalidSamples, match="run code"):
        read_samples(path)
    assert not marker.exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", images=np.zeros((300, 1024, 1024), np.uint8), labels=LABELS)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InvalidSamples, match="not opened"):
        Arrays(path)


def test_an_array_that_claims_more_than_it_has(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, IMAGES)
    data = buffer.getvalue().replace(b"(6, 8, 9)", b"(6,8,999)")
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(InvalidSamples, match="claims"):
        Arrays(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(InvalidSamples):
        read_samples(path)


def test_a_damaged_array(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(InvalidSamples):
        read_samples(path)


def test_splits_must_be_disjoint() -> None:
    require_disjoint({"train": "abc", "val": "d", "test": "ef"})
    with pytest.raises(PatientInTwoSplits, match="train and test, patients=2"):
        require_disjoint({"train": "abc", "val": "d", "test": "bcf"})


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def test_a_folder_of_nifti(tmp_path: Path) -> None:
    affine = np.diag([-0.7, -0.7, 2.0, 1.0])
    voxels = RNG.integers(-1000, 400, (9, 8, 5)).astype(np.int16)
    write_nifti(tmp_path / "imagesTr" / "case1_0000.nii.gz", voxels, affine)
    write_nifti(tmp_path / "labelsTr" / "case1.nii.gz", (voxels > 0).astype(np.uint8), affine)
    found = read_samples(tmp_path)
    picture = found.load(found.samples[0])
    assert picture.voxels.shape == (5, 8, 9)
    assert picture.spacing_mm == pytest.approx((2.0, 0.7, 0.7))
    assert (picture.mask == (picture.voxels > 0)).all()

    write_nifti(tmp_path / "labelsTr" / "case1.nii.gz", (voxels > 0).astype(np.uint8), np.eye(4))
    with pytest.raises(LabelsDoNotFit, match="different grids"):
        found.load(found.samples[0])
    write_nifti(tmp_path / "labelsTr" / "case2.nii.gz", (voxels > 0).astype(np.uint8), affine)
    with pytest.raises(LabelsDoNotFit, match="case2"):
        read_samples(tmp_path)
    (tmp_path / "labelsTr" / "case2.nii.gz").unlink()
    (tmp_path / "labelsTr" / "case1.nii.gz").unlink()
    with pytest.raises(LabelsDoNotFit, match="case1"):
        read_samples(tmp_path)


def test_images_are_the_right_way_up_as_for_serving_whatever_way_the_file_has_them(tmp_path: Path) -> None:
    body = RNG.integers(-1000, 400, (9, 8, 5)).astype(np.int16)
    # Columns to the left, rows to the back, planes up; the same body to the right, to the front, by rows.
    ways = {
        "lps": (body, np.diag([-0.7, -0.7, 2.0, 1.0])),
        "ras": (body[::-1, ::-1], np.diag([0.7, 0.7, 2.0, 1.0])),
        "coronal": (body.transpose(0, 2, 1), np.diag([-0.7, -0.7, 2.0, 1.0])[:, [0, 2, 1, 3]]),
    }
    for name, (voxels, affine) in ways.items():
        write_nifti(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", voxels, affine)
        write_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", (voxels > 100).astype(np.uint8), affine)
    found = read_samples(tmp_path)
    pictures = [found.load(one) for one in found.samples]
    assert len(pictures) == 3
    for one in pictures:
        assert (one.voxels == body.transpose(2, 1, 0)).all()
        assert one.mask is not None
        assert (one.mask == (one.voxels > 100)).all()
        assert one.spacing_mm == pytest.approx((2.0, 0.7, 0.7))


def _complete(ds: Dataset, _plane: int) -> None:
    """Add what highdicom copies from the images."""
    for keyword in ("BirthDate", "Sex"):
        setattr(ds, f"Patient{keyword}", "")
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""


@pytest.mark.parametrize(("kind", "flipped"), [("BINARY", False), ("FRACTIONAL", False), ("BINARY", True)])
def test_a_folder_of_dicom_with_a_segmentation(tmp_path: Path, kind: str, flipped: bool) -> None:
    axes = np.diag([-1.0, -1.0, 1.0]) if flipped else np.eye(3)
    paths = write_ct(tmp_path, SmallCt(shape=(5, 12, 14), axes=axes, edit=_complete))
    mask = np.zeros((5, 12, 14), np.uint8)
    mask[1:3, 4:8, 5:9] = 1
    segmentation = highdicom.seg.Segmentation(
        source_images=[dcmread(path) for path in paths],
        pixel_array=mask if kind == "BINARY" else mask.astype(np.float32) * 0.7,
        segmentation_type=kind,
        segment_descriptions=[
            highdicom.seg.SegmentDescription(
                segment_number=1,
                segment_label="nodule",
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=codes.SCT.Nodule,
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
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
    with pytest.raises(LabelsDoNotFit):
        read_samples(tmp_path)
    segmentation.save_as(tmp_path / "seg.dcm")
    found = read_samples(tmp_path)
    picture = found.load(found.samples[0])
    if flipped:
        # Columns to the right, rows to the front: the picture is turned.
        mask = mask[:, ::-1, ::-1]
    assert (picture.mask == mask.astype(bool)).all()
    stored = SmallCt(shape=(5, 12, 14)).voxels()
    assert (np.diff(picture.voxels[0, 0]) > 0).all() == (not flipped)
    assert picture.voxels.shape == stored.shape
    assert picture.spacing_mm == pytest.approx((2.0, 0.5, 0.75))
    told = repr(found.samples)
    assert "SECRET" not in told
    assert "1.2.3" not in told
    for path in paths[:2]:
        path.unlink()
    found = read_samples(tmp_path)
    with pytest.raises(LabelsDoNotFit, match="does not lie"):
        found.load(found.samples[0])


def test_a_folder_of_dicom_with_a_table(tmp_path: Path) -> None:
    write_ct(tmp_path / "images", SmallCt(shape=(5, 12, 14)))
    table = tmp_path / "labels.csv"
    table.write_text("id,label,site\n1.2.3,2.5,A\n")
    found = read_samples(tmp_path / "images", labels=table)
    assert found.samples[0].label == 2.5
    assert found.samples[0].groups == {"label": "2.5", "site": "A"}
    table.write_text("id,label\n1.2.4,1\n")
    with pytest.raises(LabelsDoNotFit, match="no row"):
        read_samples(tmp_path / "images", labels=table)


def test_the_shared_crops() -> None:
    folder = data_folder("lidc")
    found = read_samples(folder / "nodule_crops.npz", labels=folder / "nodules.csv")
    assert len(found.samples) == 1745
    assert len(found.patients) == 590
    assert sum(one.label == 1 for one in found.samples) == 395
    picture = found.load(found.samples[0])
    assert picture.voxels.shape == picture.mask.shape == (28, 128, 128)


def test_the_shared_radiographs() -> None:
    found = read_samples(data_folder("medmnist") / "pneumonia.npz", part="val")
    assert len(found.samples) == 516
    assert np.mean([one.label for one in found.samples]) == pytest.approx(0.738, abs=0.001)
