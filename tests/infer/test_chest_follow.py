"""Two visits of one phantom, read from files one after the other."""

import json
from datetime import date

import numpy as np
import pydicom
import pytest

from wetread.analyze import analyze_path, only_with
from wetread.measure.guidelines import ask_guideline
from wetread.phantom import (
    NoduleOptions,
    PhantomOptions,
    Place,
    ScannerOptions,
    Side,
    VisitOptions,
    write_phantom,
)
from wetread.registry.package import read_models

# Coarser than a clinical scan, so that the suite stays quick.
SCANNER = ScannerOptions(matrix=256, spacing_mm=1.35, step_mm=2.5, thickness_mm=2.5)
VISITS = (
    VisitOptions(),
    VisitOptions(
        date=date(2026, 4, 12),
        shift_mm=(4.0, -3.0, 8.0),
        rotation_deg=(2.0, -2.0, 3.0),
        breath_mm=8.0,
        deformation_mm=2.0,
        growth={"n1": 1.7, "n2": 0.6},
        new_nodules=(NoduleOptions(diameter_mm=10.0, side=Side.LEFT),),
        resolved=("n4",),
    ),
)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Truth and findings.json, oldest visit first."""
    folder = tmp_path_factory.mktemp("follow")
    options = PhantomOptions(
        seed=42,
        scanner=SCANNER,
        nodules=(
            NoduleOptions(diameter_mm=12.0, side=Side.RIGHT),
            NoduleOptions(diameter_mm=14.0, side=Side.LEFT),
            NoduleOptions(diameter_mm=11.0, side=Side.RIGHT, place=Place.JUXTAPLEURAL),
            NoduleOptions(diameter_mm=9.0, side=Side.RIGHT),
        ),
        visits=VISITS,
    )
    write_phantom(options, folder / "patient")
    truth = json.loads((folder / "patient" / "truth.json").read_text())["visits"]
    analyze_path(folder / "patient", folder / "out", only_with(read_models()["chest-ct"]))
    return truth, json.loads((folder / "out" / "findings.json").read_text()), folder / "out"


def named(visit, entry):
    """Findings by the id of the nodule that they are."""
    found = {}
    for one in entry["findings"]:
        for nodule in visit["nodules"]:
            apart = sum((a - b) ** 2 for a, b in zip(one["center_mm"], nodule["center_mm"], strict=True))
            if apart**0.5 < max(3.0, nodule["diameter_mm"] / 2):
                found[nodule["id"]] = one
    return found


def test_the_oldest_is_read_first_and_has_no_prior(read):
    truth, entries, _ = read
    assert [one["study_instance_uid"] for one in entries] == [one["study_instance_uid"] for one in truth]
    assert "comparison" not in entries[0]
    assert not any("prior" in one for one in entries[0]["findings"])
    assert set(named(truth[0], entries[0])) == {"n1", "n2", "n3", "n4"}


def test_each_nodule_is_the_one_that_it_was(read):
    truth, entries, _ = read
    before, now = (named(*one) for one in zip(truth, entries, strict=True))
    for name in ("n1", "n2", "n3"):
        assert now[name]["tracking_uid"] == before[name]["tracking_uid"]
        prior = now[name]["prior"]
        assert prior["study_instance_uid"] == truth[0]["study_instance_uid"]
        assert prior["match"] == "same"
        assert prior["match_confidence"] > 0.8
        assert prior["interval_days"] == 90
        assert prior["volume_mm3"] == pytest.approx(before[name]["measurements"]["volume_mm3"], rel=0.1)
    uids = [one["tracking_uid"] for one in entries[1]["findings"]]
    assert len(set(uids)) == len(uids)


def test_the_change_is_what_has_changed(read):
    truth, entries, _ = read
    now = named(truth[1], entries[1])
    statuses = {name: one["status"] for name, one in now.items()}
    assert statuses == {"n1": "growing", "n2": "decreased", "n3": "stable", "n5": "new"}
    for name, factor in (("n1", 1.7), ("n2", 0.6), ("n3", 1.0)):
        prior = now[name]["prior"]
        assert prior["volume_change_percent"] == pytest.approx(100 * (factor - 1), abs=15)
        low, high = prior["volume_change_ci95"]
        assert low < prior["volume_change_percent"] < high
        assert len(prior["history"]) == 1
    assert now["n1"]["prior"]["doubling_time_days"] == pytest.approx(117.6, rel=0.25)
    assert now["n2"]["prior"]["doubling_time_days"] is None
    assert "prior" not in now["n5"]


def test_a_guideline_can_be_asked_with_it(read):
    _, entries, _ = read
    first, second = (ask_guideline("lung-rads", json.dumps(one["exam"])) for one in entries)
    assert first.category == "4A"
    # n1 has grown by 2 mm and n5 is new.
    assert second.category == "4B"


def test_what_is_gone_is_said(read):
    truth, entries, out = read
    comparison = entries[1]["comparison"]
    assert comparison["study_instance_uid"] == truth[0]["study_instance_uid"]
    (gone,) = comparison["gone"]
    assert gone["status"] == "resolved"
    assert gone["tracking_uid"] == named(truth[0], entries[0])["n4"]["tracking_uid"]
    text = next(one["path"] for one in entries[1]["documents"] if one["kind"] == "text")
    report = (out / text).read_text()
    assert "Since the prior study of 2026-01-12: 1 new, 1 grown, 1 smaller, 1 gone, 1 stable." in report


def test_the_registration_is_kept_and_leaves_as_objects(read):
    truth, entries, out = read
    paths = [one["path"] for one in entries[1]["documents"] if one["kind"] == "reg"]
    affine, bent = (pydicom.dcmread(out / path) for path in paths)
    assert not [one for one in entries[0]["documents"] if one["kind"] == "reg"]
    assert "alignment" not in entries[1]["comparison"]
    place = now_and_then(truth)
    item = affine.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    matrix = np.array(item.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    for before, now in (place["n1"], place["n2"], place["n3"]):
        # Breath of 8 mm and a bending are more than a matrix can say.
        assert np.linalg.norm(matrix[:3, :3] @ before + matrix[:3, 3] - now) < 8.0
        assert np.linalg.norm(before - now) > 5.0
    assert bent.DeformableRegistrationSequence[1].SourceFrameOfReferenceUID != bent.FrameOfReferenceUID


def now_and_then(truth):
    """Middle of each nodule at both visits."""
    before, now = ({one["id"]: np.array(one["center_mm"]) for one in visit["nodules"]} for visit in truth)
    return {name: (before[name], now[name]) for name in before.keys() & now.keys()}


def test_each_change_has_its_image_in_the_prior_study(read):
    truth, entries, _ = read
    now = named(truth[1], entries[1])
    for name, (before, _) in now_and_then(truth).items():
        if name in now:
            place = now[name]["prior"]["place"]
            assert np.linalg.norm(np.array(place["center_lps_mm"]) - before) < 2.0
            assert place["sop_instance_uid"]
