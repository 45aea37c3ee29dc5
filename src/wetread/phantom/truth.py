"""What is truly there: the values of ``truth.json``.

In: exact measures.  Out: frozen values and plain JSON.  Never: estimates from noisy voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from wetread.domain.volume import Triple


class NoduleStatus(StrEnum):
    """What became of a nodule since the visit before."""

    BASELINE = "baseline"
    STABLE = "stable"
    GROWING = "growing"
    SHRINKING = "shrinking"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueNodule:
    """One nodule at one visit."""

    nodule_id: str
    #: ``solid``, ``part-solid`` or ``ground-glass``; place and shape likewise in words of the options.
    kind: str
    place: str
    shape: str
    side: str
    center_lps_mm: Triple
    volume_mm3: float
    #: In the axial plane (LPS) of greatest area.
    long_axis_mm: float
    short_axis_mm: float
    hu: float
    status: NoduleStatus
    #: Volume relative to the nodule's first visit.
    volume_factor: float
    #: Solid core of a part-solid nodule; 0 for others.
    core_volume_mm3: float = 0.0
    core_diameter_mm: float = 0.0

    @property
    def diameter_mm(self) -> float:
        """Mean of long and short axis."""
        return (self.long_axis_mm + self.short_axis_mm) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePleura:
    """Free air or fluid of one side."""

    side: str
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitTruth:
    """All that is true of one visit, within the scan."""

    study_instance_uid: str
    date: date
    nodules: tuple[TrueNodule, ...]
    #: Inside of the visceral pleura, with its vessels and nodules.
    right_lung_volume_ml: float
    left_lung_volume_ml: float
    #: Destroyed share of the lungs, percent of their volume.
    emphysema_percent: float = 0.0
    pneumothorax: TruePleura | None = None
    effusion: TruePleura | None = None
    #: Ids of nodules that were there before and are gone.
    resolved: tuple[str, ...] = ()

    @property
    def lung_volume_ml(self) -> float:
        """Both lungs."""
        return self.right_lung_volume_ml + self.left_lung_volume_ml


def to_truth_json(visits: list[VisitTruth], seed: int) -> dict[str, Any]:
    """Return ``truth.json``: lengths mm, volumes mm3 or ml, positions LPS mm."""
    return {"seed": seed, "visits": [_visit_json(visit) for visit in visits]}


def _visit_json(visit: VisitTruth) -> dict[str, Any]:
    return {
        "study_instance_uid": visit.study_instance_uid,
        "date": visit.date.isoformat(),
        "lung_volume_ml": round(visit.lung_volume_ml, 1),
        "right_lung_volume_ml": round(visit.right_lung_volume_ml, 1),
        "left_lung_volume_ml": round(visit.left_lung_volume_ml, 1),
        "emphysema_percent": round(visit.emphysema_percent, 2),
        "pneumothorax": _pleura_json(visit.pneumothorax),
        "effusion": _pleura_json(visit.effusion),
        "nodules": [_nodule_json(nodule) for nodule in visit.nodules],
        "resolved": list(visit.resolved),
    }


def _pleura_json(pleura: TruePleura | None) -> dict[str, Any] | None:
    return None if pleura is None else {"side": pleura.side, "volume_ml": round(pleura.volume_ml, 2)}


def _nodule_json(nodule: TrueNodule) -> dict[str, Any]:
    return {
        "id": nodule.nodule_id,
        "type": nodule.kind,
        "place": nodule.place,
        "shape": nodule.shape,
        "side": nodule.side,
        "center_mm": [round(value, 3) for value in nodule.center_lps_mm],
        "volume_mm3": round(nodule.volume_mm3, 3),
        "long_axis_mm": round(nodule.long_axis_mm, 3),
        "short_axis_mm": round(nodule.short_axis_mm, 3),
        "diameter_mm": round(nodule.diameter_mm, 3),
        "hu": round(nodule.hu, 1),
        "core_volume_mm3": round(nodule.core_volume_mm3, 3),
        "core_diameter_mm": round(nodule.core_diameter_mm, 3),
        "status": nodule.status.value,
        "volume_factor": nodule.volume_factor,
    }
