"""A chest of ellipsoids in millimetres, imaged on any grid, written as CT files, with its true Reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from wetread.compose import Source, read_source
from wetread.dicom.header import read_instance
from wetread.domain import code
from wetread.domain.comparison import PriorComparison
from wetread.domain.finding import Axes, Finding, Region, Segment
from wetread.domain.mask import Mask
from wetread.domain.model import ModelIdentity
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome, Priority, Reading, Triage
from wetread.domain.study import Series
from wetread.domain.volume import Grid, Volume

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MODEL = ModelIdentity(name="chest-ct", version="1.0.0", digest="ab" * 32)
MADE_AT = datetime(2026, 11, 23, 8, 30, 15, tzinfo=UTC)

# LPS mm: centre, half axes. The patient's right is at negative x.
RIGHT_LUNG = ((-60.0, 5.0, 0.0), (48.0, 75.0, 110.0))
LEFT_LUNG = ((60.0, 5.0, 0.0), (45.0, 72.0, 110.0))
NODULES = (((-70.0, -10.0, 30.0), (9.0, 7.0, 8.0)), ((52.0, 30.0, -25.0), (5.0, 5.0, 5.0)))
AIR = ((-62.0, -58.0, 10.0), (25.0, 10.0, 60.0))


@dataclass(frozen=True)
class Orientation:
    """Direction of growing column index and of growing row index; the order in which files are written."""

    columns: tuple[float, float, float] = (1.0, 0.0, 0.0)
    rows: tuple[float, float, float] = (0.0, 1.0, 0.0)
    patient_position: str = "HFS"
    reverses_files: bool = False


def _unit(*values: float) -> tuple[float, float, float]:
    vector = np.array(values) / np.linalg.norm(values)
    return tuple(vector.tolist())


_TILT = np.deg2rad(20)
ORIENTATIONS = {
    "axial": Orientation(),
    "slices written from the top": Orientation(reverses_files=True),
    "both cosines negative": Orientation(
        columns=(-1.0, 0.0, 0.0), rows=(0.0, -1.0, 0.0), patient_position="HFP"
    ),
    "column cosine negative": Orientation(rows=(0.0, -1.0, 0.0)),
    "feet first": Orientation(columns=(-1.0, 0.0, 0.0), patient_position="FFS"),
    "transposed": Orientation(columns=(0.0, 1.0, 0.0), rows=(1.0, 0.0, 0.0)),
    "tilted gantry": Orientation(rows=(0.0, float(np.cos(_TILT)), float(-np.sin(_TILT)))),
    "oblique": Orientation(columns=_unit(0.9, 0.3, 0.1), rows=_unit(-0.3, 0.9, 0.0)),
}


def make_grid(
    orientation: Orientation = ORIENTATIONS["axial"],
    shape: tuple[int, int, int] = (40, 96, 104),
    spacing_mm: tuple[float, float, float] = (6.0, 2.5, 2.5),
) -> Grid:
    """Return a grid about the origin; its planes have UIDs."""
    columns = np.array(orientation.columns)
    rows = np.array(orientation.rows) - columns * float(np.dot(orientation.rows, columns))
    rows /= np.linalg.norm(rows)
    directions = np.stack([np.cross(columns, rows), rows, columns])
    origin = -sum(directions[axis] * (shape[axis] - 1) / 2 * spacing_mm[axis] for axis in range(3))
    return Grid(
        shape=shape,
        spacing_mm=spacing_mm,
        origin_lps_mm=tuple(np.round(origin, 6).tolist()),
        directions=tuple(tuple(direction) for direction in directions.tolist()),
        frame_of_reference_uid="1.2.826.0.1.3680043.10.1.9",
        sop_instance_uids=tuple(f"1.2.826.0.1.3680043.10.1.2.{plane + 1}" for plane in range(shape[0])),
    )


def inside(grid: Grid, ellipsoid: tuple) -> np.ndarray:
    """Return which voxel centres lie in an ellipsoid."""
    center, half = ellipsoid
    p, r, c = np.meshgrid(
        *[np.arange(size, dtype=np.float32) for size in grid.shape], indexing="ij", sparse=True
    )
    affine = grid.index_to_lps
    total = 0.0
    for axis in range(3):
        x = affine[axis, 0] * p + affine[axis, 1] * r + affine[axis, 2] * c + affine[axis, 3]
        total = total + ((x - center[axis]) / half[axis]) ** 2
    return total <= 1.0


def make_volume(grid: Grid) -> Volume:
    voxels = np.full(grid.shape, -1000, np.int16)
    voxels[inside(grid, ((0.0, 0.0, 0.0), (120.0, 100.0, 300.0)))] = 40
    for lung in (RIGHT_LUNG, LEFT_LUNG):
        voxels[inside(grid, lung)] = -850
    voxels[inside(grid, ((0.0, 80.0, 0.0), (16.0, 14.0, 300.0)))] = 400
    voxels[inside(grid, AIR)] = -995
    for nodule in NODULES:
        voxels[inside(grid, nodule)] = 20
    noise = np.random.default_rng(0).normal(0, 15, grid.shape[1:]).astype(np.int16)
    voxels += noise
    return Volume(voxels=voxels, grid=grid)


def write_series(folder: Path, volume: Volume, orientation: Orientation, **changes: object) -> Series:
    """Write the volume as CT files; ``changes`` replace attributes, None removes them."""
    folder.mkdir(parents=True, exist_ok=True)
    grid, instances = volume.grid, []
    for plane, uid in enumerate(grid.sop_instance_uids):
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID, ds.SOPInstanceUID = CT_IMAGE_STORAGE, uid
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1.1", "1.2.826.0.1.3680043.10.1.2"
        ds.FrameOfReferenceUID = grid.frame_of_reference_uid
        ds.PatientName, ds.PatientID = "Müller^Zoë", "P-1"
        ds.PatientBirthDate, ds.PatientSex = "19600102", "F"
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20261120", "071500", "A17", "7"
        ds.ReferringPhysicianName, ds.StudyDescription, ds.Modality = "Gray^Dorian", "CT chest", "CT"
        ds.BodyPartExamined = "CHEST"
        ds.PatientPosition = orientation.patient_position
        ds.ImagePositionPatient = [f"{value:.6f}"[:16] for value in grid.to_lps_mm((plane, 0, 0))]
        ds.ImageOrientationPatient = [
            f"{value:.9f}"[:16] for value in (*grid.directions[2], *grid.directions[1])
        ]
        ds.PixelSpacing, ds.SliceThickness = [grid.spacing_mm[1], grid.spacing_mm[2]], grid.spacing_mm[0]
        ds.RescaleIntercept, ds.RescaleSlope, ds.InstanceNumber = -1024, 1, plane + 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = grid.shape[1:]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        for keyword, value in changes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        ds.PixelData = (volume.voxels[plane].astype(np.int32) + 1024).clip(0).astype(np.uint16).tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{plane:04}.dcm"
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
        instances.append(read_instance(path))
    order = instances[::-1] if orientation.reverses_files else instances
    return Series(series_instance_uid=instances[0].series_instance_uid, instances=tuple(order))


def make_reading(volume: Volume, **changes: object) -> Reading:
    """Return what is in the scene: two lungs, two nodules, a pneumothorax."""
    grid = volume.grid
    masks = [Mask.from_array(inside(grid, shape)) for shape in (RIGHT_LUNG, LEFT_LUNG, *NODULES, AIR)]
    labels = ["Right lung", "Left lung", "Nodule 1", "Nodule 2", "Right pneumothorax"]
    abnormal = code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE
    kinds = [(code.ANATOMICAL_STRUCTURE, code.LUNG)] * 2 + [(abnormal, code.NODULE)] * 2
    kinds.append((abnormal, code.PNEUMOTHORAX))
    sides = [code.RIGHT, code.LEFT, code.RIGHT, code.LEFT, code.RIGHT]
    segments = tuple(
        Segment(
            number=number,
            label=labels[number - 1],
            category=kinds[number - 1][0],
            type=kinds[number - 1][1],
            laterality=sides[number - 1],
            site=None if number < 3 else (code.LUNG if number < 5 else code.PLEURAL_CAVITY),
            tracking_uid=f"2.25.{100 + number}",
            mask=masks[number - 1],
        )
        for number in range(1, 6)
    )
    fields: dict = {
        "study_instance_uid": "1.2.826.0.1.3680043.10.1.1",
        "series_instance_uid": "1.2.826.0.1.3680043.10.1.2",
        "revision": 1,
        "model": MODEL,
        "operating_point": "default",
        "outcome": Outcome.READ,
        "triage": Triage(priority=Priority.STAT, score=0.9, reasons=("Pneumothorax on the right, 60 ml",)),
        "findings": (
            _pneumothorax(grid, masks[4]),
            _nodule(grid, masks[2], 3, NODULES[0], code.RIGHT),
            _nodule(grid, masks[3], 4, NODULES[1], code.LEFT),
        ),
        "regions": tuple(
            Region(
                tracking_uid=f"2.25.{101 + index}",
                label=("right lung", "left lung")[index],
                code=code.LUNG,
                laterality=sides[index],
                segment_number=index + 1,
                measurements={
                    "lung_volume_ml": masks[index].voxel_count * grid.voxel_volume_mm3 / 1000,
                    "mean_hu": -850.0,
                    "laa950_percent": 1.25,
                    "perc15_hu": -871.0,
                },
            )
            for index in range(2)
        ),
        "segments": segments,
        "measurements": {"lung_volume_ml": 3300.0},
        "problems": (
            Problem(code=ProblemCode.CONTRAST_AGENT, message="Contrast agent was given.", refuses=False),
        ),
        "grid": grid,
        "made_at": MADE_AT,
    }
    return Reading(**{**fields, **changes})


def make_unread(**changes: object) -> Reading:
    fields: dict = {
        "study_instance_uid": "1.2.826.0.1.3680043.10.1.1",
        "series_instance_uid": "",
        "revision": 1,
        "model": MODEL,
        "operating_point": "default",
        "outcome": Outcome.NOT_READ,
        "problems": (Problem(code=ProblemCode.SLICE_GAP, message="A slice is missing: send it."),),
        "made_at": MADE_AT,
    }
    return Reading(**{**fields, **changes})


def make_source(folder: Path, volume: Volume, orientation: Orientation, **changes: object) -> Source:
    return read_source(write_series(folder, volume, orientation, **changes), volume)


def _nodule(grid: Grid, mask: Mask, number: int, ellipsoid: tuple, side: code.Code) -> Finding:
    center, half = ellipsoid
    plane = mask.largest_plane
    middle = np.argwhere(mask.plane(plane)).mean(axis=0)
    center_on_plane = grid.to_lps_mm((plane, *middle))
    across, along = np.array(grid.directions[2]), np.array(grid.directions[1])
    long = tuple(tuple((center_on_plane + sign * across * half[0]).tolist()) for sign in (-1, 1))
    short = tuple(tuple((center_on_plane + sign * along * half[1]).tolist()) for sign in (-1, 1))
    volume_mm3 = mask.voxel_count * grid.voxel_volume_mm3
    return Finding(
        tracking_uid=f"2.25.{100 + number}",
        label="lung nodule",
        code=code.NODULE,
        probability=0.91,
        center_lps_mm=center,
        box_lps_mm=tuple(tuple(c + sign * h for c, h in zip(center, half, strict=True)) for sign in (-1, 1)),
        measurements={
            "volume_mm3": volume_mm3,
            "long_axis_mm": 2 * half[0],
            "short_axis_mm": 2 * half[1],
            "mean_diameter_mm": half[0] + half[1],
            "area_mm2": float(mask.plane(plane).sum()) * grid.spacing_mm[1] * grid.spacing_mm[2],
            "mean_hu": 20.0,
            "greatest_long_axis_mm": 2 * half[0] + 0.5,
            "distance_to_pleura_mm": 12.5,
        },
        laterality=side,
        site=code.LUNG,
        texture=code.SOLID,
        segment_number=number,
        key_plane=plane,
        axes=Axes(long=long, short=short),
        prior=PriorComparison(
            study_instance_uid="1.2.3",
            volume_change_percent=42.0,
            volume_change_ci95=(18.0, 70.0),
            doubling_time_days=180.0,
        )
        if number == 3
        else None,
    )


def _pneumothorax(grid: Grid, mask: Mask) -> Finding:
    center, half = AIR
    return Finding(
        tracking_uid="2.25.105",
        label="pneumothorax",
        code=code.PNEUMOTHORAX,
        center_lps_mm=center,
        box_lps_mm=tuple(tuple(c + sign * h for c, h in zip(center, half, strict=True)) for sign in (-1, 1)),
        measurements={"volume_ml": mask.voxel_count * grid.voxel_volume_mm3 / 1000},
        laterality=code.RIGHT,
        site=code.PLEURAL_CAVITY,
        segment_number=5,
        key_plane=mask.largest_plane,
    )
