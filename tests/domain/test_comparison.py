"""What a Reading says of an earlier study: in its digest, in findings.json, across processes."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from wetread.domain import code
from wetread.domain.comparison import Comparison, GoneFinding, PastSize, PriorComparison, Status
from wetread.domain.finding import Finding
from wetread.domain.model import ModelIdentity
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.reading import Outcome, Reading, canonical_json, digest, to_findings_json


def finding(number, prior=None):
    return Finding(
        tracking_uid=f"2.25.{number}",
        label="lung nodule",
        code=code.NODULE,
        center_lps_mm=(0.0, 0.0, 0.0),
        box_lps_mm=((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
        key_plane=0,
        prior=prior,
    )


@pytest.fixture
def reading():
    prior = PriorComparison(
        study_instance_uid="1.2.3",
        volume_change_percent=40.0,
        volume_change_ci95=(20.0, 63.0),
        doubling_time_days=185.0,
        status=Status.GROWING,
        history=(
            PastSize(
                study_instance_uid="1.2.3", studied_on="2026-01-12", volume_mm3=200.0, mean_diameter_mm=7.3
            ),
        ),
    )
    gone = GoneFinding(
        tracking_uid="2.25.9",
        label="lung nodule",
        status=Status.RESOLVED,
        center_lps_mm=(1.0, 2.0, 3.0),
        volume_mm3=180.0,
        mean_diameter_mm=7.0,
    )
    return Reading(
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.4.1",
        revision=1,
        model=ModelIdentity(name="chest-ct", version="1", digest="ab"),
        operating_point="default",
        outcome=Outcome.READ,
        findings=(finding(1, prior), finding(2), finding(3), finding(4)),
        made_at=datetime(2026, 7, 12, tzinfo=UTC),
        comparison=Comparison(
            study_instance_uid="1.2.3",
            lung_overlap=1.0,
            vessel_likeness=0.9,
            new=("2.25.2",),
            not_scanned=("2.25.3",),
            gone=(gone,),
        ),
    )


def test_it_crosses_processes_whole(reading):
    assert unpack_reading(pack_reading(reading)) == reading


def test_a_reading_without_one_keeps_the_digest_of_before_there_were_any(reading):
    without = replace(reading, comparison=None)
    assert "comparison" not in json.loads(canonical_json(without))
    assert digest(without) != digest(reading)


def test_each_finding_says_what_became_of_it(reading):
    entry = json.loads(json.dumps(to_findings_json(reading, [])))
    assert [one.get("status") for one in entry["findings"]] == ["growing", "new", "not-scanned", None]
    assert entry["findings"][0]["prior"]["volume_change_ci95"] == [20.0, 63.0]
    assert "prior" not in entry["findings"][1]
    assert entry["comparison"]["gone"][0]["status"] == "resolved"
    assert "comparison" not in to_findings_json(replace(reading, comparison=None), [])
