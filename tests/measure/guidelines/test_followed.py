"""From a Reading to an answer of Lung-RADS."""

import dataclasses
import json
from datetime import UTC, date, datetime

import pytest

from wetread.domain import code
from wetread.domain.comparison import Comparison, PastSize, PriorComparison
from wetread.domain.finding import Finding
from wetread.domain.model import ModelIdentity
from wetread.domain.reading import Outcome, Reading
from wetread.measure.guidelines import ask_guideline
from wetread.measure.guidelines.followed import describe_exam

DAY = date(2026, 7, 12)


def finding(diameter_mm, *past, texture=code.SOLID):
    history = tuple(
        PastSize(study_instance_uid="1.2.3", studied_on=day, volume_mm3=200.0, mean_diameter_mm=before)
        for day, before in past
    )
    prior = PriorComparison(
        study_instance_uid="1.2.3",
        volume_change_percent=0.0,
        volume_change_ci95=(-10.0, 10.0),
        history=history,
    )
    return Finding(
        tracking_uid="2.25.1",
        label="lung nodule",
        code=code.NODULE,
        center_lps_mm=(0.0, 0.0, 0.0),
        box_lps_mm=((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
        measurements={"mean_diameter_mm": diameter_mm, "volume_mm3": 250.0},
        texture=texture,
        key_plane=0,
        prior=prior if past else None,
    )


def reading(*findings, followed=True):
    return Reading(
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.4.1",
        revision=1,
        model=ModelIdentity(name="chest-ct", version="1", digest="ab"),
        operating_point="default",
        outcome=Outcome.READ,
        findings=findings,
        made_at=datetime(2026, 7, 12, tzinfo=UTC),
        comparison=Comparison(study_instance_uid="1.2.3", lung_overlap=1.0, vessel_likeness=0.9)
        if followed
        else None,
    )


def category(one):
    answer = ask_guideline("lung-rads", json.dumps(describe_exam(one, DAY)))
    return answer.category


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (finding(7.0, ("2026-01-12", 7.2)), "2"),  # stable for half a year
        (finding(7.0, ("2026-01-12", 5.4)), "4A"),  # 1.6 mm in half a year
        (finding(7.0), "4A"),  # new
        (finding(9.0, ("2026-01-12", 7.0)), "4B"),  # growing
        (finding(7.0, ("2026-07-12", 5.0), ("2026-01-12", 7.2)), "2"),  # another scan of the same day
    ],
)
def test_growth_is_judged_by_the_guideline(one, expected):
    assert category(reading(one)) == expected


def test_without_a_prior_it_is_a_baseline():
    exam = describe_exam(reading(finding(7.0), followed=False), DAY)
    assert exam["exam"] == {"date": "2026-07-12", "kind": "baseline"}
    assert category(reading(finding(7.0), followed=False)) == "3"


def test_other_findings_are_no_nodules():
    air = dataclasses.replace(finding(7.0), code=code.PNEUMOTHORAX, label="pneumothorax")
    assert describe_exam(reading(air), DAY)["nodules"] == []


@pytest.mark.parametrize(
    ("solid_mm", "expected"), [(None, None), (5.0, "3"), (6.5, "4A"), (8.0, "4B"), (20.0, "4B")]
)
def test_the_solid_part_that_was_measured_is_asked_with(solid_mm, expected):
    one = finding(12.0, texture=code.PART_SOLID)
    sizes = dict(one.measurements) | ({"solid_mean_diameter_mm": solid_mm} if solid_mm else {})
    exam = describe_exam(reading(dataclasses.replace(one, measurements=sizes), followed=False), DAY)
    (nodule,) = exam["nodules"]
    if expected is None:
        assert "solid_mean_diameter_mm" not in nodule
        return
    # It lies inside of the nodule, whichever plane it was measured on.
    assert nodule["solid_mean_diameter_mm"] == min(solid_mm, 12.0)
    assert ask_guideline("lung-rads", json.dumps(exam)).category == expected
