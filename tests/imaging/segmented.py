"""Small CT series with Segmentations that highdicom writes, and NIfTI pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.dicom.small_ct import SmallCt, write_ct


def complete(ds: Dataset, _plane: int = 0) -> None:
    """Add what highdicom copies from the images."""
    for keyword in ("BirthDate", "Sex"):
        setattr(ds, f"Patient{keyword}", "")
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""


def write_images(folder: Path, hu: np.ndarray, **changes) -> list[Path]:
    """Write a CT of these HU, shape (planes, rows, columns)."""
    stored = (hu + 1024).round().astype(np.int16)
    return write_ct(folder, SmallCt(shape=hu.shape, stored=stored, edit=complete, **changes))


def make_segmentation(
    images: Sequence[Path],
    masks: Sequence[np.ndarray],
    kind: str = "BINARY",
    labels: Sequence[str] = (),
    types: Sequence[Any] = (),
    sites: Sequence[Any] = (),
) -> highdicom.seg.Segmentation:
    """Return a Segmentation with a segment for each mask; they may overlap, but not in a label map.

    ``types`` are their coded property types, ``sites`` their anatomic regions, None: without.
    """
    names = labels or [f"thing {number}" for number in range(1, len(masks) + 1)]
    stacked = np.stack(masks, axis=-1).astype(np.uint8)
    pixels = stacked.astype(np.float32) * 0.7 if kind == "FRACTIONAL" else stacked
    return highdicom.seg.Segmentation(
        source_images=[dcmread(path) for path in images],
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=name,
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=types[number - 1] if types else codes.SCT.Nodule,
                anatomic_regions=[sites[number - 1]] if sites and sites[number - 1] else None,
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, name in enumerate(names, start=1)
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


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write (planes, rows, columns) so that it is read as it is: spacing 2, 0.7, 0.6 mm."""
    usual = np.diag([-0.6, -0.7, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), usual if affine is None else affine), path)
    return path
