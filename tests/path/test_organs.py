"""A Segmentation of organs by somebody else comes: measured, told as theirs, once; or refused with a code."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.path.organ_scene import (
    AORTA,
    CORONARY,
    L3,
    LIVER,
    MASKS,
    MODEL,
    MUSCLE,
    SERIES,
    SPLEEN,
    STUDY,
    OrganScene,
    all_organs,
    box,
    make_organ_scene,
)
from tests.store.test_store import NOW
from tests.stores import open_store
from tests.web.conftest import ORIGIN
from wetread.domain import code
from wetread.domain.document import DocumentKind
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Priority, Reading
from wetread.domain.study import study_key
from wetread.infer.job import ReadJob
from wetread.infer.process import run_job
from wetread.match import parse_rules
from wetread.registry import read_packages
from wetread.store.audit_rows import AuditRows
from wetread.store.keys import EncryptionSettings, make_key_file
from wetread.web import create_web


@pytest.fixture
def make_scene(tmp_path: Path) -> Iterator[Callable[..., OrganScene]]:
    stores = []

    def make(**header: str) -> OrganScene:
        stores.append(open_store(tmp_path / "data"))
        return make_organ_scene(stores[-1], tmp_path, **header)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def scene(make_scene: Callable[..., OrganScene]) -> OrganScene:
    return make_scene()


def test_what_it_marks_is_measured_and_told_as_theirs(scene: OrganScene) -> None:
    # In a process of its own, as the service does.
    scene.run = run_job
    assert scene.read() == 1
    assert scene.rows == []
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    reading = scene.reading()
    assert (reading.outcome, reading.series_instance_uid) == (Outcome.READ, SERIES)
    liver, spleen, artery = reading.regions
    assert [one.label for one in reading.regions] == ["Liver", "Spleen", "Coronary artery"]
    assert liver.measurements["mean_hu"] == pytest.approx(30)
    assert liver.measurements["liver_spleen_difference_hu"] == pytest.approx(-20)
    assert spleen.measurements["mean_hu"] == pytest.approx(50)
    assert artery.measurements["agatston_score"] == pytest.approx(4 * 2 * 2.5 / 3, abs=1e-3)
    fat, calcium = reading.findings
    assert (fat.code, calcium.code) == (code.STEATOSIS_OF_LIVER, code.CORONARY_CALCIFICATION)
    assert reading.triage.priority is Priority.ROUTINE
    assert reading.triage.reasons == ("fat in the liver, 30 HU", "coronary calcium, Agatston score 7")
    assert reading.grid is not None
    low, high = fat.box_lps_mm
    assert np.allclose(np.subtract(high, low), (19, 32, 15))
    said = {one.code: one.message for one in reading.problems}
    author = "Vendor, Organs, 2.1 (sent by TOTALSEG)"
    assert author in said[ProblemCode.SEGMENTATION_BY_OTHERS]
    assert said[ProblemCode.NOT_EVALUABLE].startswith("Mass of coronary calcium")
    row = scene.store.studies.find(STUDY)
    assert row is not None
    assert row.state is StudyState.READ
    assert any(
        "organ-measures" in str(one.message)
        for one in AuditRows(scene.store.engine).list_last(50, study=STUDY)
    )


def test_its_documents_refer_to_their_segmentation(scene: OrganScene) -> None:
    segmentation = scene.segmentation(all_organs())
    scene.send(segmentation)
    revision = scene.read()
    documents = scene.store.readings.list_documents(scene.rows[0].id)
    kinds = {one.kind for one in documents}
    assert {DocumentKind.SR, DocumentKind.TEXT, DocumentKind.PDF, DocumentKind.PNG} <= kinds
    # Nobody's work is written again under our name.
    assert DocumentKind.SEG not in kinds
    (row,) = [one for one in documents if one.kind is DocumentKind.SR]
    sr = dcmread(io.BytesIO(scene.store.readings.load_document(row).data))
    named = {
        (str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID), number)
        for item in iter_items(sr)
        if "ReferencedSOPSequence" in item
        for number in np.atleast_1d(item.ReferencedSOPSequence[0].get("ReferencedSegmentNumber", 0)).tolist()
        if number
    }
    assert {uid for uid, _ in named} == {segmentation.SOPInstanceUID}
    assert {number for _, number in named} == {1, 2, 3}
    (study,) = sr.CurrentRequestedProcedureEvidenceSequence
    series = {str(one.SeriesInstanceUID) for one in study.ReferencedSeriesSequence}
    assert series == {SERIES, str(segmentation.SeriesInstanceUID)}
    concepts = {
        (item.ConceptNameCodeSequence[0].CodeValue, unit)
        for item in iter_items(sr)
        if item.get("MeasuredValueSequence")
        for unit in [item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue]
    }
    assert {("450360000", "1"), ("122660", "mm3"), ("112182", "[hnsf'U]")} <= concepts
    texts = [str(item.TextValue) for item in iter_items(sr) if "TextValue" in item]
    assert any("NOT FOR CLINICAL USE" in one for one in texts)
    assert any("Vendor, Organs, 2.1 (sent by TOTALSEG)" in one for one in texts)
    (text,) = [one for one in documents if one.kind is DocumentKind.TEXT]
    assert "ORGANS\nLiver: " in scene.store.readings.load_document(text).data.decode()
    waiting = {one.document_id for one in scene.store.deliveries.list_for(STUDY, revision, "pacs")}
    assert row.id in waiting


def iter_items(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or ():
        yield child
        yield from iter_items(child)


def test_it_is_on_page_and_list_as_others(scene: OrganScene) -> None:
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    app = create_web(scene.store, read_packages(), poll_s=0, now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        page = client.get(f"/studies/{study_key(STUDY)}").text
        told = client.get(f"/api/v1/readings/{scene.rows[0].id}").json()
        listed = client.get("/").text
    assert "Organs that others marked" in page
    assert "Fat in the liver" in page
    assert "Agatston score" in page
    assert "<code>segmentation-by-others</code>" in page
    assert "sent by TOTALSEG" in page
    assert "coronary calcium, Agatston score 7" in listed
    assert [one["label"] for one in told["findings"]] == ["fat in the liver", "coronary calcium"]


def test_it_is_measured_once_and_again_where_another_one_comes(scene: OrganScene) -> None:
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    assert scene.ran.count(MODEL) == 1
    # Something else comes for the study: it stands.
    scene.send(scene.segmentation([(nodule(), box(slice(50, 60)))]), source="OHIF")
    scene.read()
    assert scene.ran.count(MODEL) == 1
    assert len(scene.rows) == 1
    # The same sender marks the liver anew: that one counts, the rest stays.
    smaller = MASKS["liver"].copy()
    smaller[:4] = False
    scene.send(scene.segmentation([(LIVER, smaller)]))
    scene.read()
    first, second = (scene.store.readings.load(row.digest) for row in scene.rows)
    assert second.predecessor_digest == scene.rows[0].digest
    named = {one.label: one for one in second.regions}
    assert sorted(named) == ["Coronary artery", "Liver", "Spleen"]
    assert named["Liver"].measurements["volume_ml"] == pytest.approx(smaller.sum() * 2.5 / 1000, abs=1e-3)
    assert named["Liver"].tracking_uid == first.regions[0].tracking_uid
    assert len(second.sources) == 2
    # Somebody else's liver is another one.
    scene.send(scene.segmentation([(LIVER, MASKS["liver"])]), source="OTHER")
    scene.read()
    assert sorted(one.label for one in scene.reading().regions) == [
        "Coronary artery",
        "Liver",
        "Liver 2",
        "Spleen",
    ]


def nodule() -> object:
    from pydicom.sr.codedict import codes

    return codes.SCT.Nodule


class Killed(BaseException):
    """As if the process ended."""


@pytest.mark.parametrize("dying", ["match", "infer", "list", "compose", "address", "finish"])
def test_a_process_that_ends_behind_any_step_leaves_one_reading(scene: OrganScene, dying: str) -> None:
    scene.send(scene.segmentation(all_organs()))
    begun = scene.store.studies.begin_revision(STUDY, "quiet for 10 s", NOW)
    assert begun is not None
    done: dict[tuple[str, object], object] = {}

    def step(name: str, function: Callable[..., object], *arguments: object) -> object:
        key = (name, repr(arguments[1:]))
        if key not in done:
            answer = function(*arguments)
            if name == dying and not done.get(("died", "")):
                # What the step did is there, that it did is not noted.
                done[("died", "")] = True
                raise Killed
            done[key] = answer
        return done[key]

    with pytest.raises(Killed):
        scene.go(begun.revision, step)
    scene.go(begun.revision, step)
    (row,) = scene.rows
    assert scene.ran.count(MODEL) == 1
    kinds = [one.kind for one in scene.store.readings.list_documents(row.id)]
    assert kinds.count(DocumentKind.SR) == 1
    row_of_study = scene.store.studies.find(STUDY)
    assert row_of_study is not None
    assert row_of_study.state is StudyState.READ


def shift(made: Dataset) -> None:
    for frame in made.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x + 0.5, y, z]


def other_frame(made: Dataset) -> None:
    made.FrameOfReferenceUID = "1.2.3.98"


def cut(made: Dataset) -> None:
    made.PixelData = made.PixelData[:40]


@pytest.mark.parametrize(
    ("edit", "refusal"),
    [
        (shift, ProblemCode.SEGMENTATION_GEOMETRY),
        (other_frame, ProblemCode.SEGMENTATION_GEOMETRY),
        (cut, ProblemCode.SEGMENTATION_UNREADABLE),
    ],
)
def test_one_that_does_not_lie_on_the_images_is_refused(
    scene: OrganScene, edit: Callable[[Dataset], None], refusal: ProblemCode
) -> None:
    scene.send(scene.segmentation(all_organs(), edit))
    scene.read()
    reading = scene.reading()
    assert reading.outcome is Outcome.NOT_READ
    assert [(one.code, one.refuses) for one in reading.problems] == [(refusal, True)]
    assert reading.findings == reading.regions == ()
    # One that fits comes later, and the other one is still named.
    scene.send(scene.segmentation(all_organs()), source="OTHER")
    scene.read()
    assert scene.reading().outcome is Outcome.READ
    assert refusal.value in scene.codes()


def test_one_of_another_patient_stops_the_study(scene: OrganScene) -> None:
    def edit(made: Dataset) -> None:
        made.PatientID = "SOMEBODY-ELSE"

    scene.send(scene.segmentation(all_organs(), edit))
    scene.read()
    assert scene.rows == []
    match = scene.store.studies.get_revision(STUDY, 1).match
    assert match is not None
    (mine,) = [one for one in match["models"] if one["name"] == MODEL]
    assert [one["code"] for one in mine["problems"]] == [ProblemCode.MIXED_PATIENTS.value]


def test_one_that_is_of_another_study_is_refused_there(scene: OrganScene) -> None:
    scene.read()

    def edit(made: Dataset) -> None:
        made.StudyInstanceUID = "1.2.4"

    scene.send(scene.segmentation(all_organs(), edit))
    begun = scene.store.studies.begin_revision("1.2.4", "quiet for 10 s", NOW)
    assert begun is not None

    def step(_name: str, function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    scene.path.read_study(step, "1.2.4", 1, 1)  # type: ignore[arg-type]
    assert scene.store.readings.list_for_study("1.2.4") == []
    (returned,) = scene.store.changes.list_returned("1.2.4")
    assert returned.code is ProblemCode.SEGMENTATION_OTHER_STUDY
    assert scene.rows == []


def test_a_series_that_is_not_here_is_not_guessed(scene: OrganScene) -> None:
    def edit(made: Dataset) -> None:
        made.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.99"

    scene.send(scene.segmentation(all_organs(), edit))
    scene.read()
    assert scene.rows == []


def test_one_without_a_series_is_of_the_only_one_in_its_frame_of_reference(scene: OrganScene) -> None:
    def edit(made: Dataset) -> None:
        del made.ReferencedSeriesSequence

    scene.send(scene.segmentation(all_organs(), edit))
    scene.read()
    assert scene.reading().series_instance_uid == SERIES


def test_no_label_makes_an_organ(scene: OrganScene) -> None:
    def edit(made: Dataset) -> None:
        made.SegmentSequence[0].SegmentLabel = "Liver"

    scene.send(scene.segmentation([(nodule(), MASKS["liver"])], edit))
    scene.read()
    assert scene.rows == []
    assert MODEL not in scene.ran


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_every_kind_of_segmentation(scene: OrganScene, kind: str) -> None:
    scene.send(scene.segmentation(all_organs(), kind=kind))
    scene.read()
    assert scene.reading().regions[0].measurements["mean_hu"] == pytest.approx(30)


def test_contrast_agent_takes_the_verdict_and_not_the_density(make_scene: Callable[..., OrganScene]) -> None:
    scene = make_scene(ContrastBolusAgent="Iomeprol")
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    reading = scene.reading()
    assert reading.findings == ()
    assert reading.regions[0].measurements["mean_hu"] == pytest.approx(30)
    assert "agatston_score" not in reading.regions[2].measurements
    told = [one.message for one in reading.problems if one.code is ProblemCode.NOT_EVALUABLE]
    assert len(told) == 2
    assert all("the header names a contrast agent" in one for one in told)


def test_a_header_that_says_nothing_needs_the_aorta(make_scene: Callable[..., OrganScene]) -> None:
    scene = make_scene(ContrastBolusAgent="")
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    assert scene.reading().findings == ()
    # What the spleen has here is what an aorta without contrast agent has.
    scene.send(scene.segmentation([(AORTA, MASKS["spleen"])]))
    scene.read()
    reading = scene.reading()
    assert [one.label for one in reading.findings] == ["fat in the liver", "coronary calcium"]
    assert any(
        "Taken as without contrast agent: the aorta has 50 HU" in one.message for one in reading.problems
    )


def test_tissues_are_shown_on_the_slice_that_was_measured(scene: OrganScene) -> None:
    scene.send(scene.segmentation([(MUSCLE, MASKS["liver"]), (L3, MASKS["spleen"])]))
    scene.read()
    reading = scene.reading()
    muscle = reading.regions[0]
    assert muscle.measurements == pytest.approx({"muscle_area_cm2": 19 * 32 / 100, "muscle_hu": 30})
    mask = reading.segments[0].mask
    assert (mask.offset[0], mask.voxels.shape[0]) == (3, 1)


def test_a_rule_that_names_no_model_for_it_does_not_stop_it(scene: OrganScene) -> None:
    scene.rules = parse_rules([{"name": "MR", "models": ["chest-ct"], "modality": "MR"}])
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    assert scene.ran == [MODEL]


def test_a_result_of_ours_asks_for_nothing(scene: OrganScene) -> None:
    """An organ that a model of ours outlined, as a viewer sends it back: its tracking UID is known."""
    scene.send(scene.segmentation([(SPLEEN, MASKS["spleen"])]))
    scene.read()
    first = scene.reading()
    ours = replace(
        first,
        model=replace(first.model, name="own-organs"),
        sources=(),
        segments=tuple(replace(one, origin=None) for one in first.segments),
    )
    scene.store.readings.save(ours)

    def edit(made: Dataset) -> None:
        made.SegmentSequence[0].TrackingUID = first.segments[0].tracking_uid
        made.SegmentSequence[0].TrackingID = "Spleen"

    scene.send(scene.segmentation([(SPLEEN, MASKS["liver"])], edit), source="OHIF")
    scene.read()
    assert scene.reading().sources == first.sources
    assert scene.ran.count(MODEL) == 1


def test_two_segments_of_one_code_both_count(scene: OrganScene) -> None:
    scene.send(scene.segmentation([(CORONARY, MASKS["artery"]), (CORONARY, MASKS["spleen"])]))
    scene.read()
    assert [one.label for one in scene.reading().regions] == ["Coronary artery", "Coronary artery 2"]
    (calcium,) = scene.reading().findings
    assert calcium.segment_number is None


def test_encrypted_files_are_opened_each_by_its_own_key(tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    store = open_store(tmp_path / "data", EncryptionSettings(key_file=tmp_path / "key"))
    scene = make_organ_scene(store, tmp_path)

    def run(job: ReadJob) -> Reading:
        assert all(job.keys)
        assert all(one.key for one in job.organs)
        return run_job(job)

    scene.run = run
    scene.send(scene.segmentation(all_organs()))
    scene.read()
    assert scene.reading().outcome is Outcome.READ, scene.codes()
    assert scene.reading().regions[0].measurements["mean_hu"] == pytest.approx(30)
    store.close()
