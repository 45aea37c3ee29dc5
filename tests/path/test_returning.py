"""A segmentation that comes back revises the finding it is about, or says why not; nothing is overwritten."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from tests.path.returned_scene import (
    FIRST,
    NODULE,
    NOW,
    OTHER,
    SECOND,
    SHAPE,
    STUDY,
    WAYS,
    Scene,
    ball,
    make_scene,
)
from tests.path.test_steps import make_steps
from tests.receive.stow_bodies import encode, files, related
from tests.web.conftest import ORIGIN, make_model
from wetread.deliver.destination import Destination, DestinationKind
from wetread.domain.change import ChangeKind, revise, standing
from wetread.domain.document import DocumentKind
from wetread.domain.model import Runtime
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Reading, digest
from wetread.domain.returned import Return
from wetread.domain.study import study_key
from wetread.engine import Job
from wetread.imaging.segmentation import LABEL_MAP_STORAGE
from wetread.infer.job import ReadJob
from wetread.match import default_rules
from wetread.path import StudyPath
from wetread.receive.stow import StowOptions, start_stow
from wetread.registry.lineup import Lineup
from wetread.steps import DeliverySteps, ReadingSteps
from wetread.steps.returning import list_peers
from wetread.web import create_web

LARGER = ball((8, 16, 14), 6.5)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = make_scene(tmp_path)
    yield made
    made.store.close()


def reader_has(scene: Scene, uid: str = FIRST):
    stands = standing(scene.changes, digest(scene.reading))
    found = revise(scene.reading, stands).findings
    return next(one for one in found if one.tracking_uid == uid)


@pytest.mark.parametrize("way", sorted(WAYS))
def test_an_edited_mask_is_measured_again(tmp_path: Path, way: str) -> None:
    scene = make_scene(tmp_path, way)
    scene.send(scene.segmentation([LARGER, OTHER], ["Nodule 1", "Nodule 2"]))
    (one,) = scene.returned
    assert (one.outcome, one.code, one.source) == (Return.REVISED, None, "OHIF1")
    (change,) = scene.changes
    assert (change.kind, change.tracking_uid, change.who) == (ChangeKind.OUTLINED, FIRST, "OHIF1")
    assert change.text == "Roe Ana, OHIF, Viewer, 3.13.2"
    finding = reader_has(scene)
    # A ball of radius 6.5 mm, to within its voxels.
    assert finding.measurements["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 6.5**3, rel=0.05)
    assert finding.measurements["mean_diameter_mm"] == pytest.approx(13.0, abs=0.8)
    assert finding.measurements["volume_mm3"] == pytest.approx(LARGER.sum() * 1.5 * 0.7 * 0.7, abs=0.01)
    assert "distance_to_pleura_mm" not in finding.measurements
    grid = scene.reading.grid
    assert grid is not None
    index = grid.to_index(finding.center_lps_mm)
    assert np.allclose(index, (8, 16, 14), atol=0.1)
    assert finding.axes is not None
    for ends in (finding.axes.long, finding.axes.short):
        assert np.linalg.norm(np.subtract(*ends)) == pytest.approx(13.0, abs=1.2)
        assert np.allclose(grid.to_index(np.mean(ends, axis=0)), (8, 16, 14), atol=1.5)
    # The Reading is what it was, so is the other finding.
    assert digest(scene.store.readings.load(digest(scene.reading))) == digest(scene.reading)
    assert reader_has(scene, SECOND) == scene.reading.findings[1]
    scene.store.close()


def test_the_report_follows_and_names_the_one_before(scene: Scene) -> None:
    (first,) = scene.documents(DocumentKind.SR)
    segmentation = scene.segmentation([LARGER, OTHER], ["Nodule 1", "Nodule 2"])
    scene.send(segmentation)
    old, new = scene.documents(DocumentKind.SR)
    assert (old, new.ordinal) == (first, 2)
    sr = dcmread(io.BytesIO(scene.store.readings.load_document(new).data))
    (study,) = sr.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        old.sop_instance_uid
    )
    told = [str(item.TextValue) for item in iter_items(sr) if "TextValue" in item]
    assert any(one.startswith("Nodule 1: outlined anew by OHIF1. The model: lung nodule, ") for one in told)
    numbers = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in iter_items(sr)
        if "MeasuredValueSequence" in item
    ]
    assert reader_has(scene).measurements["volume_mm3"] in numbers
    assert scene.reading.findings[0].measurements["volume_mm3"] not in numbers
    referenced = {
        (item.ReferencedSOPInstanceUID, item.ReferencedSegmentNumber)
        for item in iter_references(sr)
        if "ReferencedSegmentNumber" in item
    }
    first_seg, own = scene.documents(DocumentKind.SEG)
    assert (first_seg.ordinal, own.ordinal) == (1, 2)
    assert referenced == {(own.sop_instance_uid, 1), (own.sop_instance_uid, 2)}
    evidence = {
        (series.SeriesInstanceUID, item.ReferencedSOPInstanceUID)
        for one in sr.CurrentRequestedProcedureEvidenceSequence
        for series in one.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert (own.series_instance_uid, own.sop_instance_uid) in evidence
    groups = [item for item in iter_items(sr) if name_of(item) == "Measurement Group"]
    by_model = [any(name_of(one) == "Algorithm Name" for one in group.ContentSequence) for group in groups]
    # Two groups of each finding: those of the first are the reader's.
    assert by_model == [False, False, True, True]


def test_the_segmentation_that_goes_with_it_holds_the_readers_outline(scene: Scene, tmp_path: Path) -> None:
    scene.send(scene.segmentation([LARGER, OTHER], ["Nodule 1", "Nodule 2"]))
    _, row = scene.documents(DocumentKind.SEG)
    path = tmp_path / "revised.dcm"
    path.write_bytes(scene.store.readings.load_document(row).data)
    seg = highdicom.seg.segread(path)
    kinds = [str(one.SegmentAlgorithmType) for one in seg.SegmentSequence]
    assert kinds[:2] == ["MANUAL", "AUTOMATIC"]
    assert [str(one.SegmentLabel) for one in seg.SegmentSequence][:2] == ["Nodule 1", "Nodule 2"]
    frames = seg.get_pixels_by_source_instance(
        list(scene.reading.grid.sop_instance_uids),
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    assert np.array_equal(frames[..., 0] > 0, LARGER)
    assert np.array_equal(frames[..., 1] > 0, OTHER)
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def iter_items(item):
    for child in item.get("ContentSequence") or ():
        yield child
        yield from iter_items(child)


def iter_references(sr):
    for item in iter_items(sr):
        yield from item.get("ReferencedSOPSequence") or ()


def name_of(item) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""


def test_two_revisions_after_each_other(scene: Scene) -> None:
    for radius in (6.5, 5.8):
        scene.send(scene.segmentation([ball((8, 16, 14), radius)], ["Nodule 1"]))
    assert [one.outcome for one in scene.returned] == [Return.REVISED, Return.REVISED]
    assert len(scene.changes) == 2
    expected = ball((8, 16, 14), 5.8).sum() * 1.5 * 0.7 * 0.7
    assert reader_has(scene).measurements["volume_mm3"] == pytest.approx(expected, abs=0.01)
    documents = scene.documents(DocumentKind.SR)
    assert [one.ordinal for one in documents] == [1, 2, 3]
    sr = dcmread(io.BytesIO(scene.store.readings.load_document(documents[2]).data))
    (series,) = sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.SeriesInstanceUID == documents[1].series_instance_uid


def test_a_revision_of_a_revision_is_about_the_same_finding(scene: Scene) -> None:
    """The second outline shares nothing with the model's any more, but much with the first reader's."""
    scene.send(scene.segmentation([ball((8, 16, 17), 6)], ["Nodule 1"]))
    scene.send(scene.segmentation([ball((8, 16, 23), 5)], ["Nodule 1"]))
    assert [one.outcome for one in scene.returned] == [Return.REVISED, Return.REVISED]


def test_what_came_is_looked_at_once(scene: Scene) -> None:
    scene.send(scene.segmentation([LARGER], ["Nodule 1"]))
    for _ in range(2):
        scene.steps.take(STUDY, 2)
    assert len(scene.returned) == len(scene.changes) == 1
    assert len(scene.documents(DocumentKind.SR)) == 2


@pytest.mark.parametrize("syntax", [RLELossless, ExplicitVRLittleEndian])
def test_label_maps_are_read(scene: Scene, syntax: str) -> None:
    """As OHIF stores them unless it is told otherwise."""
    segmentation = scene.segmentation(
        [LARGER, OTHER], ["Nodule 1", "Nodule 2"], kind="LABELMAP", syntax=syntax
    )
    assert segmentation.SOPClassUID == LABEL_MAP_STORAGE
    scene.send(segmentation)
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.REVISED, None)
    assert reader_has(scene).measurements["volume_mm3"] == pytest.approx(
        (LARGER & ~OTHER).sum() * 1.5 * 0.7 * 0.7, abs=0.01
    )
    assert len(scene.documents(DocumentKind.SR)) == 2


def test_what_is_as_it_was_is_no_revision(scene: Scene) -> None:
    scene.send(scene.segmentation([NODULE, OTHER], ["Nodule 1", "Nodule 2"]))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.UNCHANGED, None)
    assert not scene.changes
    assert len(scene.documents(DocumentKind.SR)) == 1


def moved(ds) -> None:
    for frame in ds.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x, y, float(z) + 0.4]


def elsewhere(ds) -> None:
    ds.FrameOfReferenceUID = "1.2.3.4.5"


def coarser(ds) -> None:
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.8, 0.8]


@pytest.mark.parametrize("edit", [moved, elsewhere, coarser])
def test_another_geometry_is_refused(scene: Scene, edit) -> None:
    scene.send(scene.segmentation([LARGER], ["Nodule 1"], edit=edit))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.REFUSED, ProblemCode.SEGMENTATION_GEOMETRY)
    assert not scene.changes
    event = scene.store.history.list_for_study(STUDY)[-1]
    assert (event.level, event.code) == ("problem", "segmentation-geometry")


def test_a_series_of_another_study_is_refused(scene: Scene) -> None:
    def edit(ds) -> None:
        ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.4.1"

    def other(ds) -> None:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.4", "1.2.4.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.4.1.1"

    image = dcmread(scene.images[0])
    other(image)
    image.save_as(scene.folder / "other.dcm")
    scene.accept(scene.folder / "other.dcm")
    scene.send(scene.segmentation([LARGER], ["Nodule 1"], edit=edit))
    (one,) = scene.returned
    assert one.code is ProblemCode.SEGMENTATION_OTHER_STUDY
    assert not scene.changes


@pytest.mark.parametrize(
    ("masks", "labels", "told"),
    [
        ([LARGER, ball((8, 28, 8), 3)], ["Nodule 1", "Cyst"], "no finding of ours"),
        ([LARGER, np.zeros_like(OTHER)], ["Nodule 1", "Nodule 2"], "empty"),
        ([LARGER, ball((12, 6, 6), 3)], ["Nodule 1", "Nodule 2"], "apart from"),
        ([LARGER, ball((8, 18, 20), 11)], ["Nodule 1", "Left lung"], "normal part"),
    ],
)
def test_a_part_that_is_not_clear_is_not_taken_and_the_rest_counts(
    scene: Scene, masks, labels: list[str], told: str
) -> None:
    scene.send(scene.segmentation(masks, labels))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.REVISED, ProblemCode.SEGMENT_NOT_TAKEN)
    assert told in one.message
    assert [change.tracking_uid for change in scene.changes] == [FIRST]


def test_two_outlines_of_one_finding_are_none(scene: Scene) -> None:
    scene.send(scene.segmentation([LARGER, ball((8, 16, 14), 4)], ["Nodule 1", "nodule  1"]))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.REFUSED, ProblemCode.SEGMENT_NOT_TAKEN)
    assert not scene.changes


def test_a_name_that_was_swapped_is_not_believed(scene: Scene) -> None:
    scene.send(scene.segmentation([NODULE, OTHER], ["Nodule 2", "Nodule 1"]))
    (one,) = scene.returned
    assert one.code is ProblemCode.SEGMENT_NOT_TAKEN
    assert not scene.changes


def test_a_number_counts_where_the_outline_is_mostly_the_same(scene: Scene) -> None:
    scene.send(scene.segmentation([ball((8, 16, 14), 5.6)], ["Segment_1"]))
    assert [one.tracking_uid for one in scene.changes] == [FIRST]


@pytest.mark.parametrize("label", ["Liver", "Segment_1"])
def test_of_unknown_origin_it_is_an_object_like_any_other(scene: Scene, label: str) -> None:
    scene.send(scene.segmentation([ball((12, 8, 30), 4)], [label]))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.FOREIGN, None)
    assert not scene.changes


def test_another_programs_outline_is_no_readers(scene: Scene) -> None:
    scene.send(scene.segmentation([LARGER], ["Nodule 1"], algorithm="AUTOMATIC"))
    (one,) = scene.returned
    assert one.outcome is Return.FOREIGN
    assert not scene.changes


def test_of_many_others_one_sentence_tells(scene: Scene) -> None:
    cyst = ball((12, 8, 30), 3)
    scene.send(scene.segmentation([LARGER, *[cyst] * 12], ["Nodule 1", *(f"part {n}" for n in range(12))]))
    (one,) = scene.returned
    assert one.outcome is Return.REVISED
    assert "Segments 4, 5, 6, 7, 8 and 5 more: no finding of ours" in one.message


def test_the_pixels_of_what_cannot_be_ours_are_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("wetread.steps.returning.iter_segments", fail)
    scene.send(scene.segmentation([LARGER, OTHER], ["liver", "spleen"], algorithm="AUTOMATIC"))
    assert [one.outcome for one in scene.returned] == [Return.FOREIGN]


def test_what_another_vendors_ai_sends_is_no_readers(scene: Scene) -> None:
    runtime = Runtime(kind="dicom-peer", peer="VENDOR@10.0.0.9:104", answers_from="VENDOR_OUT")
    scene.peers = list_peers([make_model(), replace(make_model(), runtime=runtime)])
    scene.send(scene.segmentation([LARGER], ["Nodule 1"]), source="VENDOR_OUT")
    scene.send(scene.segmentation([LARGER], ["Nodule 1"]), source="VENDOR")
    assert [one.outcome for one in scene.returned] == [Return.FOREIGN, Return.REVISED]


def test_what_kept_our_tracking_uid_is_known_by_it(scene: Scene) -> None:
    def edit(ds) -> None:
        ds.SegmentSequence[0].TrackingUID, ds.SegmentSequence[0].TrackingID = FIRST, "x"

    scene.send(scene.segmentation([LARGER], ["renamed"], algorithm="AUTOMATIC", edit=edit))
    assert [one.tracking_uid for one in scene.changes] == [FIRST]


def test_what_came_before_the_reading_is_none_of_it(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    path = tmp_path / "early.dcm"
    scene.segmentation([LARGER], ["Nodule 1"]).save_as(path)
    scene.accept(path)
    # The study is read with it: the reading is newer than the segmentation.
    scene.read()
    scene.steps.take(STUDY, 2)
    assert [one.outcome for one in scene.returned] == [Return.FOREIGN]
    scene.store.close()


def test_our_own_segmentation_that_comes_back_is_not_looked_at(scene: Scene) -> None:
    (own,) = scene.documents(DocumentKind.SEG)
    path = scene.folder / "own.dcm"
    path.write_bytes(scene.store.readings.load_document(own).data)
    scene.accept(path)
    row = scene.store.studies.find(STUDY)
    assert row is not None
    assert row.instance_count == row.covered_count
    scene.steps.take(STUDY, 1)
    assert not scene.returned


def test_without_a_named_series_its_frame_of_reference_tells(scene: Scene) -> None:
    def edit(ds) -> None:
        del ds.ReferencedSeriesSequence

    scene.send(scene.segmentation([LARGER], ["Nodule 1"], edit=edit))
    assert [one.tracking_uid for one in scene.changes] == [FIRST]


def test_a_broken_one_stops_nothing(scene: Scene) -> None:
    def edit(ds) -> None:
        ds.PixelData = ds.PixelData[:10]

    scene.send(scene.segmentation([LARGER], ["Nodule 1"], edit=edit))
    (one,) = scene.returned
    assert (one.outcome, one.code) == (Return.REFUSED, ProblemCode.SEGMENTATION_UNREADABLE)


def test_nobodys_label_is_told_in_the_history(scene: Scene) -> None:
    scene.send(scene.segmentation([LARGER, ball((12, 8, 30), 3)], ["Nodule 1", "Doe Jane"]))
    told = [event.message for event in scene.store.history.list_for_study(STUDY)]
    assert any("Segment 2" in one for one in told)
    assert not any("Doe" in one for one in told)


def test_a_bug_stops_no_reading(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    path = scene.folder / "seg.dcm"
    scene.segmentation([LARGER], ["Nodule 1"]).save_as(path)
    scene.accept(path)
    revision = scene.begin()
    steps = make_steps(scene.store)
    study_path = StudyPath(steps, None, None, lambda _: None)  # type: ignore[arg-type]
    monkeypatch.setattr("wetread.steps.returning.measure_marked", fail)
    assert study_path.list_readings(STUDY, 1) == [scene.row_id]
    assert study_path.list_readings(STUDY, revision) == []
    event = scene.store.history.list_for_study(STUDY)[-1]
    assert event.code == "internal-error"
    assert "the reading stands as it was" in event.message
    assert not scene.returned
    monkeypatch.undo()
    # Nothing was kept of it: the next look takes it.
    study_path.list_readings(STUDY, revision)
    assert [one.outcome for one in scene.returned] == [Return.REVISED]


def outlines(client: TestClient, key: str) -> tuple[str, list[str]]:
    """Return what names the outlines that the viewer shows, and those of each slice."""
    listed = client.get(f"/studies/{key}/stacks").json()
    (stack,) = listed["stacks"]
    at = f"/studies/{key}/stacks/{stack['key']}"
    return listed["marks"], [
        client.get(f"{at}/{number}/marks?v={listed['marks']}").text for number in range(1, SHAPE[0] + 1)
    ]


def test_what_is_handed_in_by_stow_shows_on_the_page(scene: Scene) -> None:
    stow = start_stow(StowOptions(), scene.store)
    app = create_web(scene.store, [make_model()], stow=stow, poll_s=0, now=lambda: NOW)
    key = study_key(STUDY)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        segmentation = scene.segmentation(
            [LARGER, OTHER, ball((12, 8, 30), 3)],
            ["Nodule 1", "Nodule 2", "new one"],
            kind="LABELMAP",
            syntax=RLELossless,
        )
        of_the_model = outlines(client, key)
        answer = client.post(
            f"/dicom-web/studies/{STUDY}",
            content=files(encode(segmentation)),
            headers={"Content-Type": related(), "Origin": ORIGIN, "Accept": "application/dicom+json"},
        )
        assert answer.status_code == 200, answer.text
        revision = scene.begin()
        scene.steps.take(STUDY, revision)
        scene.store.studies.finish_revision(STUDY, revision, StudyState.READ, NOW)
        page = client.get(f"/studies/{key}").text
        told = client.get(f"/api/v1/readings/{scene.row_id}").json()
        of_the_reader = outlines(client, key)
        # Taken back like any other change; the segmentation itself stays.
        (change,) = scene.changes
        form = {"reading": change.reading_digest, "finding": FIRST, "seen": change.id}
        undone = client.post(f"/studies/{key}/undo", data=form, headers={"Origin": ORIGIN})
        after = client.get(f"/studies/{key}").text
        taken_back = outlines(client, key)
    stow.close()
    volume = f"{reader_has(scene).measurements['volume_mm3']:.0f}"
    measured = f"{change.said.measurements['volume_mm3']:.0f}"
    assert "Segmentations that came back" in page
    assert "Segment 3: no finding of ours" in page
    assert "<code>segment-not-taken</code>" in page
    assert f"<td>volume</td><td>{volume} mm³</td><td>{measured} mm³</td>" in page
    assert f"volume {measured} mm³" in page[page.index('id="section-findings"') :]
    (first, second) = told["findings"]
    assert first["reader"]["measurements"]["volume_mm3"] == change.said.measurements["volume_mm3"]
    assert second.get("reader") is None
    assert undone.status_code == 303
    assert 'id="changed-' not in after
    # The viewer shows the outline that counts, and no browser keeps one that does not.
    assert any("<path" in one for one in of_the_model[1])
    assert of_the_reader[1] != of_the_model[1]
    assert taken_back[1] == of_the_model[1]
    assert len({of_the_model[0], of_the_reader[0], taken_back[0]}) == 3


def test_a_segmentation_goes_the_path_of_a_study(scene: Scene) -> None:
    """No model reads again: the Reading stands, the new report is on its way beside the first."""

    def read(_: ReadJob) -> Reading:
        raise AssertionError("the images are those that were read")

    def step(_name: str, function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    pacs = Destination(name="pacs", kind=DestinationKind.CSTORE, host="127.0.0.1", port=104, aet="PACS")
    jobs: list[Job] = []
    reading = ReadingSteps(
        store=scene.store,
        lineup=Lineup((make_model(),), scene.store.model_states),
        rules=default_rules(),
        destinations={"pacs": pacs},
        run_job=read,
        clock=lambda: NOW,
        default_quiet_s=10.0,
    )
    delivery = DeliverySteps(store=scene.store, destinations={"pacs": pacs}, clock=lambda: NOW)
    study_path = StudyPath(reading, None, delivery, jobs.append)  # type: ignore[arg-type]
    path = scene.folder / "seg.dcm"
    scene.segmentation([LARGER], ["Nodule 1"]).save_as(path)
    scene.accept(path)
    revision = scene.begin()
    study_path.read_study(step, STUDY, revision, 1)
    (row,) = scene.store.readings.list_current([STUDY])[STUDY]
    assert (row.id, row.digest) == (scene.row_id, digest(scene.reading))
    assert [one.outcome for one in scene.returned] == [Return.REVISED]
    waiting = {one.document_id for one in scene.store.deliveries.list_for(STUDY, revision, "pacs")}
    for kind in (DocumentKind.SR, DocumentKind.SEG):
        assert {one.id for one in scene.documents(kind)} <= waiting
        assert len(scene.documents(kind)) == 2
    assert [job.workflow for job in jobs] == ["deliver"]
