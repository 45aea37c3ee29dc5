"""Everything that can be chosen about a phantom, in one frozen tree.

In: plain numbers and words.  Out: ``PhantomOptions``, valid once constructed.  Never: images, random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from wetread.errors import ConfigError


class Side(StrEnum):
    """Side of the patient."""

    LEFT = "left"
    RIGHT = "right"


class NoduleKind(StrEnum):
    """How dense the nodule is."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


class Place(StrEnum):
    """Where in the lung the nodule lies."""

    INTRAPULMONARY = "intrapulmonary"  # free of pleura and of vessels one could see
    JUXTAPLEURAL = "juxtapleural"  # touches the costal pleura from inside
    PERIVASCULAR = "perivascular"  # touches a vessel of 1.2 mm radius or more


class Shape(StrEnum):
    """Outline of the nodule."""

    ROUND = "round"  # an ellipsoid close to a sphere
    LOBULATED = "lobulated"
    SPICULATED = "spiculated"  # fine strands radiate; they do not count as nodule volume


class Kernel(StrEnum):
    """Reconstruction kernel."""

    SOFT = "soft"
    STANDARD = "standard"
    SHARP = "sharp"


class PatientPosition(StrEnum):
    """Patient Position (0018,5100), PS3.3 C.7.3.1.1.2."""

    HFS = "HFS"
    HFP = "HFP"
    FFS = "FFS"
    FFP = "FFP"


def _require(condition: bool, message: str, **facts: object) -> None:
    if not condition:
        raise ConfigError(message, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleOptions:
    """One nodule as wished for."""

    #: Diameter of the sphere of the same volume.
    diameter_mm: float
    kind: NoduleKind = NoduleKind.SOLID
    place: Place = Place.INTRAPULMONARY
    shape: Shape = Shape.ROUND
    #: None: either.
    side: Side | None = None
    #: Density; None: drawn, solid 10 to 60, ground-glass -650 to -500.
    hu: float | None = None
    #: Diameter of the solid core of a part-solid nodule as a fraction of its diameter.
    core_fraction: float = 0.5

    def __post_init__(self) -> None:
        _require(1.0 <= self.diameter_mm <= 60.0, "diameter_mm must be 1 to 60", diameter_mm=self.diameter_mm)
        _require(0.1 <= self.core_fraction <= 0.8, "core_fraction must be 0.1 to 0.8")


@dataclass(frozen=True, slots=True, kw_only=True)
class PleuralOptions:
    """Free air or fluid in one pleural cavity."""

    side: Side
    volume_ml: float

    def __post_init__(self) -> None:
        _require(
            0.0 < self.volume_ml <= 2500.0, "volume_ml must be above 0, to 2500", volume_ml=self.volume_ml
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitOptions:
    """One visit; the first one is the baseline that the others change."""

    date: date = date(2026, 1, 12)
    #: Rigid pose: shift (x, y, z) in mm and rotation about x, y, z in degrees.
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    #: How far the diaphragm stands higher than at full breath, in mm; negative: lower.
    breath_mm: float = 0.0
    #: Amplitude of the smooth deformation, in mm.
    deformation_mm: float = 0.0
    pneumothorax: PleuralOptions | None = None
    effusion: PleuralOptions | None = None
    #: Nodule id -> its volume at this visit as a multiple of its volume at its first visit.
    growth: Mapping[str, float] = field(default_factory=dict)
    #: Nodules that appear at this visit.
    new_nodules: tuple[NoduleOptions, ...] = ()
    #: Ids of nodules that are gone from this visit on.
    resolved: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(all(factor > 0 for factor in self.growth.values()), "growth factors must be positive")
        _require(-15.0 <= self.breath_mm <= 40.0, "breath_mm must be -15 to 40", breath_mm=self.breath_mm)
        _require(0.0 <= self.deformation_mm <= 10.0, "deformation_mm must be 0 to 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientOptions:
    """The patient at every visit."""

    #: Share of the lung that is destroyed, percent.
    emphysema_percent: float = 0.0
    #: Mean density of healthy lung with its small vessels left out.
    lung_hu: float = -888.0
    #: How many vessels reach the periphery, per lung, of arteries and of veins alike.
    vessel_ends: int = 1300
    #: Strength of natural variation of the anatomy between seeds, 0 to 1.
    variation: float = 1.0
    #: Size of the whole body relative to an average adult.
    scale: float = 1.0
    birth_date: date = date(1961, 5, 4)
    #: Patient's Sex (0010,0040): M, F or O.
    sex: str = "O"

    def __post_init__(self) -> None:
        _require(0.0 <= self.emphysema_percent <= 60.0, "emphysema_percent must be 0 to 60")
        _require(-950.0 <= self.lung_hu <= -700.0, "lung_hu must be -950 to -700")
        _require(10 <= self.vessel_ends <= 5000, "vessel_ends must be 10 to 5000")
        _require(0.0 <= self.variation <= 1.0, "variation must be 0 to 1")
        _require(0.8 <= self.scale <= 1.15, "scale must be 0.8 to 1.15")
        _require(self.sex in ("M", "F", "O"), "sex must be M, F or O")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerOptions:
    """The scanner and its protocol."""

    #: Rows and columns.
    matrix: int = 512
    #: In-plane distance of voxel centres.
    spacing_mm: float = 0.7
    #: Full width at half maximum of the slice sensitivity profile.
    thickness_mm: float = 1.25
    #: Distance of slices.
    step_mm: float = 1.25
    #: Length of the scan; None: the whole chest.
    length_mm: float | None = None
    kernel: Kernel = Kernel.STANDARD
    #: CTDIvol: noise falls with its square root; 0: no noise at all.
    dose_mgy: float = 5.0
    #: Calibration error: measured HU = slope * (HU + 1000) - 1000 + offset.
    hu_offset: float = 0.0
    hu_slope: float = 1.0
    patient_position: PatientPosition = PatientPosition.HFS
    #: Tilt of the image planes about the patient's x and y axis, degrees: oblique direction cosines.
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    #: Number the slices against the image normal.
    reverse_order: bool = False
    table: bool = True
    manufacturer: str = "Wetread"
    station_name: str = "PHANTOM"

    def __post_init__(self) -> None:
        _require(32 <= self.matrix <= 1024, "matrix must be 32 to 1024", matrix=self.matrix)
        _require(0.2 <= self.spacing_mm <= 5.0, "spacing_mm must be 0.2 to 5", spacing_mm=self.spacing_mm)
        _require(0.3 <= self.thickness_mm <= 10.0, "thickness_mm must be 0.3 to 10")
        _require(0.3 <= self.step_mm <= 10.0, "step_mm must be 0.3 to 10", step_mm=self.step_mm)
        _require(self.dose_mgy >= 0.0, "dose_mgy must not be negative")
        _require(max(abs(angle) for angle in self.tilt_deg) <= 30.0, "tilt_deg must be within 30")
        _require(self.length_mm is None or 20.0 <= self.length_mm <= 600.0, "length_mm must be 20 to 600")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomOptions:
    """A synthetic patient with one or more visits."""

    seed: int = 0
    patient: PatientOptions = PatientOptions()
    scanner: ScannerOptions = ScannerOptions()
    #: Nodules of the first visit, ids ``n1``, ``n2``, ...; None: four to eight solid ones of 5 to 20 mm.
    nodules: tuple[NoduleOptions, ...] | None = None
    visits: tuple[VisitOptions, ...] = (VisitOptions(),)

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed must not be negative", seed=self.seed)
        _require(len(self.visits) >= 1, "at least one visit")
        days = [visit.date for visit in self.visits]
        _require(days == sorted(days), "visits must be in the order of their dates")
        first = self.visits[0]
        _require(not (first.growth or first.new_nodules or first.resolved), "the first visit cannot change")
