"""How the prior study lies on this one, as Spatial Registration objects (PS3.3 A.39, C.20).

In: a draft that compares, with the map between the two studies.  Out: an affine one and a deformable one.
Never: a registration of images that name no frame of reference.

The registered frame of both is that of this study. The matrix of the affine one brings points of the prior
study to this one (C.20.2.1.1). The grid of the deformable one says for points of this study where they lie in
the prior one (C.20.3.1.1), as whoever resamples the prior study needs it.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.seg import frame_of_reference_uid
from wetread.compose.sr_change import prior_images
from wetread.compose.uid import derive_instance_uid
from wetread.domain.code import Code
from wetread.domain.comparison import Alignment, Comparison, PriorImages
from wetread.domain.document import Document, DocumentKind
from wetread.domain.volume import FloatArray
from wetread.measure.alignment import open_alignment
from wetread.measure.registration import Warp

SPATIAL_REGISTRATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.1"
DEFORMABLE_SPATIAL_REGISTRATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.3"

_BY_CONTENT = Code(value="125024", scheme="DCM", meaning="Image Content-based Alignment")
#: Points of the grid between two control points: straight lines between them miss the bending by less than
#: half a millimetre, and the grid stays below 200 kB.
_STEPS = 2


def compose_reg(draft: Draft) -> tuple[Document, ...]:
    """Return both registrations; nothing where none was kept, or where it cannot be said between what."""
    comparison, images = draft.reading.comparison, prior_images(draft.reading.comparison)
    if not is_registered(draft) or comparison is None or comparison.alignment is None or images is None:
        return ()
    return (
        _affine(draft, comparison, images, comparison.alignment),
        _deformable(draft, comparison, images, comparison.alignment),
    )


def is_registered(draft: Draft) -> bool:
    """Tell whether there are registrations to be composed."""
    comparison = draft.reading.comparison
    images, frame = prior_images(comparison), frame_of_reference_uid(draft)
    if comparison is None or comparison.alignment is None or images is None:
        return False
    # One frame for both: a map from it to itself would contradict it.
    return bool(frame and images.frame_of_reference_uid) and frame != images.frame_of_reference_uid


def list_references(draft: Draft) -> tuple[tuple[str, str], ...]:
    """Return SOP Class and Instance UID of the registrations, composed or not yet."""
    classes = (SPATIAL_REGISTRATION_STORAGE, DEFORMABLE_SPATIAL_REGISTRATION_STORAGE)
    if not is_registered(draft):
        return ()
    of_model = draft.model_digest
    return tuple(
        (one, derive_instance_uid(of_model, DocumentKind.REG, number))
        for number, one in enumerate(classes, 1)
    )


def _new(draft: Draft, ordinal: int, sop_class_uid: str, described: str) -> Dataset:
    ds = header.new_dataset(draft, DocumentKind.REG, ordinal, sop_class_uid)
    header.add_body_part(ds, draft)
    ds.ContentLabel = "WETREAD"
    ds.ContentDescription = described
    ds.ContentCreatorName = None
    ds.FrameOfReferenceUID = frame_of_reference_uid(draft)
    ds.PositionReferenceIndicator = None
    return ds


def _affine(draft: Draft, comparison: Comparison, images: PriorImages, kept: Alignment) -> Document:
    ds = _new(draft, 1, SPATIAL_REGISTRATION_STORAGE, "Prior study on this one, affine: lungs only")
    ds.RegistrationSequence = Sequence(
        [
            _registered(frame_of_reference_uid(draft), _mine(draft), _matrix(np.eye(4), "RIGID")),
            _registered(
                images.frame_of_reference_uid,
                _theirs(images),
                _matrix(fit_affine(open_alignment(kept)), "AFFINE"),
            ),
        ]
    )
    _add_references(ds, draft, comparison, images)
    return header.finish(ds, DocumentKind.REG, "Registration of the prior study, affine")


def _deformable(draft: Draft, comparison: Comparison, images: PriorImages, kept: Alignment) -> Document:
    ds = _new(draft, 2, DEFORMABLE_SPATIAL_REGISTRATION_STORAGE, "Prior study on this one, bent: lungs only")
    warp, after = open_alignment(kept), np.eye(4)
    after[:3, :3], after[:3, 3] = warp.matrix, warp.shift
    mine = _deformed(frame_of_reference_uid(draft), _mine(draft), _matrix(np.eye(4), "RIGID"))
    theirs = _deformed(images.frame_of_reference_uid, _theirs(images), _matrix(after, "AFFINE"))
    theirs.DeformableRegistrationGridSequence = Sequence([_grid(warp)])
    ds.DeformableRegistrationSequence = Sequence([mine, theirs])
    _add_references(ds, draft, comparison, images)
    return header.finish(ds, DocumentKind.REG, "Registration of the prior study, bent")


def fit_affine(warp: Warp) -> FloatArray:
    """Return the matrix, shape (4, 4), from the prior study to this one that is nearest to the whole map."""
    here = _grid_points(warp).reshape(-1, 3)
    there = np.column_stack([warp.to_prior(here), np.ones(len(here))])
    fitted, *_ = np.linalg.lstsq(there, here, rcond=None)
    matrix = np.eye(4)
    matrix[:3] = fitted.T
    return matrix


def _grid_points(warp: Warp) -> FloatArray:
    """Return the grid in LPS mm, shape (planes, rows, columns, 3): it lies where the map was measured."""
    step = warp.bend_spacing_mm / _STEPS
    lines = [
        warp.bend_origin_lps_mm[2 - axis]
        + warp.bend_spacing_mm
        + np.arange((warp.bend.shape[axis] - 3) * _STEPS + 1) * step
        for axis in range(3)
    ]
    return np.stack(np.meshgrid(*lines, indexing="ij")[::-1], axis=-1)


def _grid(warp: Warp) -> Dataset:
    points = _grid_points(warp)
    planes, rows, columns = points.shape[:3]
    step = warp.bend_spacing_mm / _STEPS
    item = Dataset()
    item.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    item.ImagePositionPatient = [header.decimal(float(one)) for one in points[0, 0, 0]]
    item.GridDimensions = [columns, rows, planes]
    item.GridResolution = [step, step, step]
    # X fastest, then Y, then Z: as the array lies.
    item.VectorGridData = warp.bend_at(points).astype("<f4").tobytes()
    return item


def _mine(draft: Draft) -> Sequence:
    return header.instance_items(draft.source.planes)


def _theirs(images: PriorImages) -> Sequence:
    return Sequence([header.reference_item(images.sop_class_uid, uid) for uid in images.sop_instance_uids])


def _deformed(frame: str, images: Sequence, after: Dataset) -> Dataset:
    item = Dataset()
    item.SourceFrameOfReferenceUID = frame
    item.ReferencedImageSequence = images
    item.RegistrationTypeCodeSequence = header.code_sequence(_BY_CONTENT)
    item.PreDeformationMatrixRegistrationSequence = Sequence([_matrix(np.eye(4), "RIGID")])
    item.PostDeformationMatrixRegistrationSequence = Sequence([after])
    return item


def _registered(frame: str, images: Sequence, matrix: Dataset) -> Dataset:
    item = Dataset()
    item.FrameOfReferenceUID = frame
    item.ReferencedImageSequence = images
    inner = Dataset()
    inner.RegistrationTypeCodeSequence = header.code_sequence(_BY_CONTENT)
    inner.MatrixSequence = Sequence([matrix])
    item.MatrixRegistrationSequence = Sequence([inner])
    return item


def _matrix(matrix: FloatArray, kind: str) -> Dataset:
    item = Dataset()
    item.FrameOfReferenceTransformationMatrixType = kind
    item.FrameOfReferenceTransformationMatrix = [_factor(float(one)) for one in matrix.ravel()]
    return item


def _factor(value: float) -> str:
    """Return a number of a matrix with all the digits that a decimal string holds."""
    return f"{value + 0.0:.9f}"[:16]


def _add_references(ds: Dataset, draft: Draft, comparison: Comparison, images: PriorImages) -> None:
    """Name the images of both studies (Common Instance Reference, PS3.3 C.12.2)."""
    mine = Dataset()
    mine.SeriesInstanceUID = draft.source.series_instance_uid
    mine.ReferencedInstanceSequence = _mine(draft)
    ds.ReferencedSeriesSequence = Sequence([mine])
    theirs = Dataset()
    theirs.SeriesInstanceUID = images.series_instance_uid
    theirs.ReferencedInstanceSequence = _theirs(images)
    study = Dataset()
    study.StudyInstanceUID = comparison.study_instance_uid
    study.ReferencedSeriesSequence = Sequence([theirs])
    ds.StudiesContainingOtherReferencedInstancesSequence = Sequence([study])
