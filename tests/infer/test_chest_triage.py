"""What has changed raises the priority, says why, and nothing else does."""

from __future__ import annotations

import dataclasses

import pytest

from tests.domain.test_reading import make_reading
from wetread.domain import code
from wetread.domain.comparison import Comparison, PriorComparison, Status
from wetread.domain.reading import Priority, Reading
from wetread.infer.chest_triage import triage_chest
from wetread.registry import read_models

PARAMETERS = read_models()["chest-ct"].parameters
LIKE = {Status.GROWING: 60.0, Status.STABLE: 2.0, Status.DECREASED: -50.0}


def nodule(diameter_mm: float, status: Status | None, texture: code.Code = code.SOLID) -> Reading:
    """A Reading of one nodule and what became of it."""
    reading = make_reading()
    prior = None
    if status in LIKE:
        prior = PriorComparison(
            study_instance_uid="1.2",
            volume_change_percent=LIKE[status],
            volume_change_ci95=(LIKE[status] - 10, LIKE[status] + 10),
            doubling_time_days=133.0 if status is Status.GROWING else None,
            status=status,
        )
    finding = dataclasses.replace(
        reading.findings[0], measurements={"mean_diameter_mm": diameter_mm}, texture=texture, prior=prior
    )
    uid = (finding.tracking_uid,)
    comparison = Comparison(
        study_instance_uid="1.2",
        lung_overlap=1.0,
        vessel_likeness=1.0,
        new=uid if status is Status.NEW else (),
        not_scanned=uid if status is Status.NOT_SCANNED else (),
    )
    return dataclasses.replace(reading, findings=(finding,), comparison=comparison if status else None)


@pytest.mark.parametrize(
    ("diameter_mm", "status", "texture", "priority"),
    [
        (7.9, None, code.SOLID, Priority.ROUTINE),
        (8.0, None, code.SOLID, Priority.URGENT),
        (7.9, Status.STABLE, code.SOLID, Priority.ROUTINE),
        (8.0, Status.STABLE, code.SOLID, Priority.URGENT),
        (7.9, Status.DECREASED, code.SOLID, Priority.ROUTINE),
        (7.9, Status.NOT_SCANNED, code.SOLID, Priority.ROUTINE),
        (4.0, Status.GROWING, code.SOLID, Priority.URGENT),
        (3.9, Status.GROWING, code.SOLID, Priority.ROUTINE),
        (4.0, Status.GROWING, code.PART_SOLID, Priority.URGENT),
        (6.0, Status.NEW, code.SOLID, Priority.URGENT),
        (5.9, Status.NEW, code.SOLID, Priority.ROUTINE),
        (12.0, Status.GROWING, code.GROUND_GLASS, Priority.ROUTINE),
        (20.0, Status.NEW, code.GROUND_GLASS, Priority.URGENT),
    ],
)
def test_the_table(diameter_mm: float, status: Status, texture: code.Code, priority: Priority) -> None:
    assert triage_chest(nodule(diameter_mm, status, texture), PARAMETERS).priority is priority


def test_the_reason_says_what_has_changed() -> None:
    (grown,) = triage_chest(nodule(6.0, Status.GROWING), PARAMETERS).reasons
    assert grown == (
        "Nodule, left, solid, 6 mm, grown since the prior study (volume +60%, doubling time 133 days)"
    )
    (new,) = triage_chest(nodule(6.0, Status.NEW), PARAMETERS).reasons
    assert new == "Nodule, left, solid, 6 mm, new since the prior study"
    (stable,) = triage_chest(nodule(9.0, Status.STABLE), PARAMETERS).reasons
    assert "since" not in stable


def test_of_two_alike_the_one_that_has_grown_comes_first() -> None:
    grown, stable = nodule(9.0, Status.GROWING), nodule(9.0, Status.STABLE)
    both = dataclasses.replace(grown, findings=(*stable.findings, *grown.findings))
    triage = triage_chest(both, PARAMETERS)
    assert "grown" in triage.reasons[0]
    assert len(triage.reasons) == 2
    assert triage.score > triage_chest(stable, PARAMETERS).score


@pytest.mark.parametrize(("volume_ml", "priority"), [(499.0, Priority.ROUTINE), (500.0, Priority.URGENT)])
def test_much_pleural_fluid_is_urgent(volume_ml: float, priority: Priority) -> None:
    reading = make_reading()
    fluid = dataclasses.replace(
        reading.findings[0],
        label="pleural effusion",
        code=code.PLEURAL_EFFUSION,
        texture=None,
        measurements={"volume_ml": volume_ml, "mean_hu": 8.0},
    )
    triage = triage_chest(dataclasses.replace(reading, findings=(fluid,)), PARAMETERS)
    assert triage.priority is priority
    assert triage.reasons == (f"Pleural effusion, left, {volume_ml:.0f} ml",)
