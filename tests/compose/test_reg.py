"""Registrations of the prior study: which frame maps to which, by landmarks, as pydicom reads them back."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from tests.compose.conftest import Composed
from tests.compose.past import IMAGES, PRIOR_FRAME, PRIOR_SERIES, PRIOR_STUDY, compare, make_alignment
from wetread.compose import compose
from wetread.domain.comparison import Bending
from wetread.domain.document import DocumentKind
from wetread.measure.alignment import keep_alignment, open_alignment

AFFINE, DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.3"
#: Inside of the control points.
LANDMARKS = np.random.default_rng(3).uniform((-130.0, -100.0, -130.0), (100.0, 70.0, 100.0), (60, 3))


def composed_of(composed: Composed, **changes: object) -> list[Dataset]:
    reading = compare(composed.reading, **changes)
    documents = compose(reading, composed.source, (DocumentKind.REG,))
    return [pydicom.dcmread(io.BytesIO(document.data)) for document in documents]


def matrix_of(item: Dataset) -> np.ndarray:
    return np.array(item.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def to_registered(ds: Dataset, frame: str) -> np.ndarray:
    """The matrix of a frame: from its RCS to that of the object (PS3.3 C.20.2.1.1)."""
    (item,) = [one for one in ds.RegistrationSequence if frame == one.FrameOfReferenceUID]
    (registration,) = item.MatrixRegistrationSequence
    (matrix,) = registration.MatrixSequence
    return matrix_of(matrix)


def to_source(ds: Dataset, points: np.ndarray) -> np.ndarray:
    """Points of the registered RCS in the source RCS (PS3.3 C.20.3.1.1)."""
    mine, item = ds.DeformableRegistrationSequence
    assert mine.SourceFrameOfReferenceUID == ds.FrameOfReferenceUID
    assert "DeformableRegistrationGridSequence" not in mine
    before = move(matrix_of(item.PreDeformationMatrixRegistrationSequence[0]), points)
    (grid,) = item.DeformableRegistrationGridSequence
    columns, rows, planes = grid.GridDimensions
    assert list(grid.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(planes, rows, columns, 3)
    index = (points - np.array(grid.ImagePositionPatient, float)) / np.array(grid.GridResolution, float)
    offsets = [ndimage.map_coordinates(vectors[..., k], index[:, ::-1].T, order=1) for k in range(3)]
    return move(matrix_of(item.PostDeformationMatrixRegistrationSequence[0]), before + np.stack(offsets, -1))


def test_the_objects_are_valid_and_read_back(composed: Composed, tmp_path: Path, check_iod) -> None:
    made = composed_of(composed)
    assert [one.SOPClassUID for one in made] == [AFFINE, DEFORMABLE]
    for ds in made:
        path = tmp_path / f"{ds.InstanceNumber}.dcm"
        ds.save_as(path)
        assert check_iod(path) == []
        assert ds.Modality == "REG"
        assert ds.FrameOfReferenceUID == composed.reading.grid.frame_of_reference_uid
        assert ds.StudyInstanceUID == composed.reading.study_instance_uid
        assert path.stat().st_size < 250_000


def test_the_deformable_one_brings_points_of_this_study_to_the_prior_one(composed: Composed) -> None:
    _, ds = composed_of(composed)
    true = open_alignment(make_alignment()).to_prior(LANDMARKS)
    assert ds.DeformableRegistrationSequence[1].SourceFrameOfReferenceUID == PRIOR_FRAME
    missed = np.linalg.norm(to_source(ds, LANDMARKS) - true, axis=1)
    assert missed.max() < 0.5
    # Neither the other way round nor without the bending is it so near.
    assert np.linalg.norm(LANDMARKS - true, axis=1).min() > 2.0
    item = ds.DeformableRegistrationSequence[1]
    straight = move(matrix_of(item.PostDeformationMatrixRegistrationSequence[0]), LANDMARKS)
    assert np.linalg.norm(straight - true, axis=1).mean() > 1.0


def test_the_matrix_brings_points_of_the_prior_study_to_this_one(composed: Composed) -> None:
    kept = make_alignment()
    still = dataclasses.replace(kept, bending=Bending(
        shape=kept.bending.shape,
        origin_lps_mm=kept.bending.origin_lps_mm,
        spacing_mm=kept.bending.spacing_mm,
        displacements_um=(0,) * len(kept.bending.displacements_um),
    ))  # fmt: skip
    ds, _ = composed_of(composed, alignment=still)
    there = open_alignment(still).to_prior(LANDMARKS)
    assert np.abs(move(to_registered(ds, PRIOR_FRAME), there) - LANDMARKS).max() < 1e-3
    assert np.linalg.norm(move(to_registered(ds, PRIOR_FRAME), LANDMARKS) - there, axis=1).min() > 5.0
    assert np.array_equal(to_registered(ds, ds.FrameOfReferenceUID), np.eye(4))


def test_of_what_is_bent_the_matrix_is_the_nearest_straight_one(composed: Composed) -> None:
    ds, _ = composed_of(composed)
    there = open_alignment(make_alignment()).to_prior(LANDMARKS)
    missed = np.linalg.norm(move(to_registered(ds, PRIOR_FRAME), there) - LANDMARKS, axis=1)
    assert missed.mean() < 3.0
    (item,) = [one for one in ds.RegistrationSequence if one.FrameOfReferenceUID == PRIOR_FRAME]
    (matrix,) = item.MatrixRegistrationSequence[0].MatrixSequence
    assert matrix.FrameOfReferenceTransformationMatrixType == "AFFINE"


def test_the_images_of_both_studies_are_referenced(composed: Composed) -> None:
    for ds in composed_of(composed):
        (mine,) = ds.ReferencedSeriesSequence
        assert mine.SeriesInstanceUID == composed.source.series_instance_uid
        assert len(mine.ReferencedInstanceSequence) == len(composed.source.planes)
        (study,) = ds.StudiesContainingOtherReferencedInstancesSequence
        (theirs,) = study.ReferencedSeriesSequence
        assert (study.StudyInstanceUID, theirs.SeriesInstanceUID) == (PRIOR_STUDY, PRIOR_SERIES)
        named = [one.ReferencedSOPInstanceUID for one in theirs.ReferencedInstanceSequence]
        assert tuple(named) == IMAGES.sop_instance_uids


def test_the_report_refers_to_them(composed: Composed) -> None:
    reading = compare(composed.reading)
    sr, *_ = compose(reading, composed.source, (DocumentKind.SR,))
    made = compose(reading, composed.source, (DocumentKind.REG,))
    ds = pydicom.dcmread(io.BytesIO(sr.data))
    listed = {
        one.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    for document in made:
        assert listed[document.sop_instance_uid] == document.series_instance_uid


@pytest.mark.parametrize(
    "changes",
    [
        {"alignment": None},
        {"images": None},
        {"images": dataclasses.replace(IMAGES, frame_of_reference_uid="")},
        # Of a scanner that names one frame for both, a map between them would be none.
        {"images": dataclasses.replace(IMAGES, frame_of_reference_uid="1.2.826.0.1.3680043.10.1.9")},
    ],
)
def test_without_two_frames_and_a_map_there_is_none(composed: Composed, changes: dict) -> None:
    assert composed_of(composed, **changes) == []
    sr, *_ = compose(compare(composed.reading, **changes), composed.source, (DocumentKind.SR,))
    assert AFFINE.encode() not in sr.data


def test_what_is_kept_of_a_registration_is_the_same_map() -> None:
    kept = make_alignment()
    again = keep_alignment(open_alignment(kept))
    assert again.bending == kept.bending
    there = open_alignment(kept).to_prior(LANDMARKS)
    assert np.abs(open_alignment(again).to_prior(LANDMARKS) - there).max() < 1e-3
