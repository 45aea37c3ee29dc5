"""Small synthetic CT series, written with pydicom, for the tests of what reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from wetread.dicom.header import read_instance
from wetread.domain.study import Series, Study, group_instances

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"
AXIAL = np.eye(3)

Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True, kw_only=True)
class SmallCt:
    """What to write; ``axes`` holds row cosine, column cosine and normal as rows."""

    shape: tuple[int, int, int] = (5, 8, 10)
    spacing_mm: tuple[float, float, float] = (2.0, 0.5, 0.75)
    axes: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    origin_lps_mm: tuple[float, float, float] = (-20.0, -30.0, 100.0)
    stored: npt.NDArray[Any] | None = None
    study_uid: str = "1.2.3"
    series_uid: str = "1.2.3.1"
    edit: Edit = lambda _ds, _plane: None

    def voxels(self) -> npt.NDArray[Any]:
        """Return the stored values, HU + 1024."""
        if self.stored is not None:
            return self.stored
        return np.arange(np.prod(self.shape), dtype=np.int16).reshape(self.shape)

    def position(self, plane: int) -> list[float]:
        """Return the position of the first pixel of a plane."""
        moved = np.array(self.origin_lps_mm) + self.axes[2] * plane * self.spacing_mm[0]
        return [round(float(value), 6) for value in moved]


def make_slice(ct: SmallCt, plane: int) -> Dataset:
    """Return one slice as a data set with meta header."""
    pixels = ct.voxels()[plane]
    ds = Dataset()
    ds.SOPClassUID = CT_IMAGE_STORAGE
    ds.SOPInstanceUID = f"{ct.series_uid}.{plane + 1}"
    ds.StudyInstanceUID = ct.study_uid
    ds.SeriesInstanceUID = ct.series_uid
    ds.FrameOfReferenceUID = f"{ct.study_uid}.99"
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientName = "Doe^Jane"
    ds.PatientID = "SECRET-7"
    ds.PatientAge = "063Y"
    ds.SeriesNumber = 2
    ds.SeriesDescription = "Chest 1.0 B31f"
    ds.ConvolutionKernel = "B31f"
    ds.SliceThickness = ct.spacing_mm[0]
    ds.ImagePositionPatient = ct.position(plane)
    ds.ImageOrientationPatient = [round(float(value), 6) for value in ct.axes[:2].ravel()]
    ds.PixelSpacing = list(ct.spacing_mm[1:])
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored = ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = pixels.tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ct.edit(ds, plane)
    return ds


def write_ct(folder: Path, ct: SmallCt) -> list[Path]:
    """Write a series, one file a slice."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plane in range(ct.shape[0]):
        path = folder / f"{ct.series_uid}-{plane:03}.dcm"
        make_slice(ct, plane).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def read_ct(folder: Path, *series: SmallCt) -> Study:
    """Write series of one study and read their headers back."""
    paths = [path for ct in series for path in write_ct(folder, ct)]
    (study,) = group_instances([read_instance(path) for path in paths])
    return study


def read_series(folder: Path, ct: SmallCt) -> Series:
    """Write one series and read its headers back."""
    return read_ct(folder, ct).series[0]


def make_enhanced(ct: SmallCt) -> Dataset:
    """Return the series as one Enhanced CT object, its frames in reverse order."""
    ds = make_slice(ct, 0)
    order = list(reversed(range(ct.shape[0])))
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
    plane.ImageOrientationPatient = ds.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    frames = []
    for index in order:
        frame, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ct.position(index)
        transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = 1, -1024, "HU"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [transform]
        frames.append(frame)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], frames
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ENHANCED_CT_IMAGE_STORAGE
    ds.NumberOfFrames = len(order)
    ds.PixelData = ct.voxels()[order].tobytes()
    return ds


def data_folder(name: str) -> Path:
    """Return a folder of the shared data, or skip the test."""
    root = Path(os.environ.get("WETREAD_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / name).is_dir():
        pytest.skip(f"the shared data folder {name} is not here (set WETREAD_DATA)")
    return root / name
