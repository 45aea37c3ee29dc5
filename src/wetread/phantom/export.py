"""Visits as DICOM files, and their truth beside them.

In: ``PhantomOptions``, a folder.  Out: CT Image Storage (PS3.3 A.3), ``truth.json``.  Never: real people.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from wetread.phantom.options import Kernel, PhantomOptions
from wetread.phantom.patient import make_patient
from wetread.phantom.truth import VisitTruth, to_truth_json
from wetread.phantom.uids import make_uid, patient_key
from wetread.phantom.visit import PhantomVisit, make_visit

_KERNEL_NAMES = {Kernel.SOFT: "SOFT", Kernel.STANDARD: "STANDARD", Kernel.SHARP: "LUNG"}
_RESCALE_INTERCEPT = -1024
_KVP = 120
#: Effective tube current-time product per mGy of CTDIvol at 120 kVp, 32 cm body phantom.
_MAS_PER_MGY = 15.0


def write_phantom(
    options: PhantomOptions, out: Path, progress: Callable[[int, int], None] | None = None
) -> list[VisitTruth]:
    """Write ``visit1/*.dcm``, ``visit2/*.dcm``, ... and ``truth.json``.

    Parameters
    ----------
    out
        Folder; made where missing. Files of the same name are replaced.
    progress
        Called as ``progress(done, total)`` in slices over all visits.

    Raises
    ------
    ConfigError
        If the wishes do not fit into the patient.
    """
    patient = make_patient(options)
    truths = []
    count = len(options.visits)
    for number in range(1, count + 1):
        step = None if progress is None else _shifted(progress, number - 1, count)
        visit = make_visit(options, number, patient=patient, progress=step)
        folder = out / f"visit{number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_visit(options, number, visit, folder)
        truths.append(visit.truth)
    text = json.dumps(to_truth_json(truths, options.seed), indent=2)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")
    return truths


def _shifted(progress: Callable[[int, int], None], before: int, count: int) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        progress(before * total + done, count * total)

    return report


def write_visit(options: PhantomOptions, number: int, visit: PhantomVisit, folder: Path) -> list[Path]:
    """Write the slices of one visit; return the paths in the order of their instance numbers."""
    planes = range(visit.volume.grid.shape[0])
    order = list(reversed(planes)) if options.scanner.reverse_order else list(planes)
    paths = []
    for instance_number, plane in enumerate(order, start=1):
        path = folder / f"{instance_number:04d}.dcm"
        make_slice(options, number, visit, (plane, instance_number)).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def make_slice(
    options: PhantomOptions, number: int, visit: PhantomVisit, position: tuple[int, int]
) -> FileDataset:
    """Return one slice as a data set; ``position`` is plane index and instance number."""
    plane, instance_number = position
    grid = visit.volume.grid
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(grid.sop_instance_uids[plane])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = grid.sop_instance_uids[plane]
    _add_patient(ds, options)
    _add_study(ds, options, number)
    _add_series(ds, options, number)
    _add_acquisition(ds, options, number, instance_number)
    _add_plane(ds, visit, plane)
    _add_pixels(ds, visit, plane)
    return ds


def _add_patient(ds: Dataset, options: PhantomOptions) -> None:
    ds.PatientName = f"PHANTOM^SEED {options.seed}"
    ds.PatientID = f"PHANTOM-{options.seed}-{patient_key(options)}"
    ds.PatientBirthDate = f"{options.patient.birth_date:%Y%m%d}"
    ds.PatientSex = options.patient.sex
    ds.PatientComments = "Synthetic images, no real person"


def _visit_time(options: PhantomOptions, number: int) -> datetime:
    start = datetime.combine(options.visits[number - 1].date, datetime.min.time())
    return start + timedelta(hours=9, minutes=5 + 7 * number)


def _add_study(ds: Dataset, options: PhantomOptions, number: int) -> None:
    when = _visit_time(options, number)
    visit = options.visits[number - 1]
    born = options.patient.birth_date
    had_birthday = (visit.date.month, visit.date.day) >= (born.month, born.day)
    ds.StudyInstanceUID = make_uid(options, "study", number)
    ds.StudyDate = f"{when:%Y%m%d}"
    ds.StudyTime = f"{when:%H%M%S}"
    ds.AccessionNumber = f"PH{patient_key(options).upper()}{number:02d}"
    ds.StudyID = f"PH{number}"
    ds.StudyDescription = "CT CHEST"
    ds.ReferringPhysicianName = ""
    ds.PatientAge = f"{visit.date.year - born.year - (not had_birthday):03d}Y"


def _add_series(ds: Dataset, options: PhantomOptions, number: int) -> None:
    scanner = options.scanner
    ds.Modality = "CT"
    ds.SeriesInstanceUID = make_uid(options, "series", number)
    ds.SeriesNumber = 2
    ds.SeriesDescription = f"CHEST {scanner.thickness_mm:g} {_KERNEL_NAMES[scanner.kernel]}"
    ds.ProtocolName = "CHEST LOW DOSE" if scanner.dose_mgy < 3 else "CHEST"
    ds.SeriesDate = ds.StudyDate
    ds.SeriesTime = ds.StudyTime
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = scanner.patient_position.value
    ds.Manufacturer = scanner.manufacturer
    ds.ManufacturerModelName = "Phantom"
    ds.StationName = scanner.station_name
    ds.InstitutionName = "Synthetic"
    ds.SoftwareVersions = "1"


def _add_acquisition(ds: Dataset, options: PhantomOptions, number: int, instance_number: int) -> None:
    scanner = options.scanner
    when = _visit_time(options, number) + timedelta(seconds=12)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = instance_number
    ds.AcquisitionNumber = 1
    ds.AcquisitionDate = ds.ContentDate = f"{when:%Y%m%d}"
    ds.AcquisitionTime = ds.ContentTime = f"{when:%H%M%S}"
    ds.KVP = _KVP
    ds.Exposure = max(1, round(scanner.dose_mgy * _MAS_PER_MGY))
    ds.ExposureTime = 500
    ds.XRayTubeCurrent = 2 * int(ds.Exposure)
    if scanner.dose_mgy > 0:
        ds.CTDIvol = float(scanner.dose_mgy)
        ds.CTDIPhantomTypeCodeSequence = [_body_phantom()]
    ds.ConvolutionKernel = _KERNEL_NAMES[scanner.kernel]
    ds.SliceThickness = f"{scanner.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{scanner.step_mm:g}"
    ds.ReconstructionDiameter = f"{scanner.matrix * scanner.spacing_mm:g}"
    ds.GantryDetectorTilt = f"{scanner.tilt_deg[0]:g}"
    ds.RotationDirection = "CW"


def _body_phantom() -> Dataset:
    """Return the code of the 32 cm phantom (PS3.16 CID 4052)."""
    code = Dataset()
    code.CodeValue = "113691"
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = "IEC Body Dosimetry Phantom"
    return code


def _add_plane(ds: Dataset, visit: PhantomVisit, plane: int) -> None:
    grid = visit.volume.grid
    normal, down, across = (np.array(direction) for direction in grid.directions)
    position = grid.to_lps_mm([plane, 0, 0])
    ds.FrameOfReferenceUID = grid.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.ImagePositionPatient = [_decimal(value) for value in position]
    ds.ImageOrientationPatient = [_decimal(value) for value in (*across, *down)]
    ds.SliceLocation = _decimal(float(position @ normal))
    ds.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[2])]


def _decimal(value: float) -> str:
    """Return a Decimal String (PS3.5 6.2) of at most 16 characters, never ``-0``."""
    return f"{value + 0.0:.10g}" if abs(value) > 1e-9 else "0"


def _add_pixels(ds: Dataset, visit: PhantomVisit, plane: int) -> None:
    hu = visit.volume.voxels[plane]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    ds.RescaleIntercept = _RESCALE_INTERCEPT
    ds.RescaleSlope = 1
    ds.RescaleType = "HU"
    ds.WindowCenter = ["-600", "40"]
    ds.WindowWidth = ["1500", "400"]
    ds.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]
    ds.PixelData = (hu.astype("<i2") - np.int16(_RESCALE_INTERCEPT)).astype("<i2").tobytes()
