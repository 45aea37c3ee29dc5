"""What readers change follows into a structured report, once, when they have done with the study."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.path.returned_scene import FIRST, NOW, OTHER, SECOND, SERIES, STUDY, Scene, ball, make_scene
from wetread.compose.wording import NOTHING_FOUND
from wetread.deliver.destination import Destination, DestinationKind
from wetread.domain import code
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.change import Change, ChangeKind, Said, Slice, lengths, new_tracking_uid
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState
from wetread.domain.reading import digest
from wetread.domain.review import RejectReason, Remark, Verdict
from wetread.errors import DamagedFile, StorageError
from wetread.steps.settling import QUIET_S, SettlingSteps
from wetread.store.audit import Audit
from wetread.store.reported import keep_reported
from wetread.waits import Waits

PACS = Destination(name="archive", kind=DestinationKind.CSTORE, host="127.0.0.1", port=104, aet="PACS")
LATER = replace(PACS, name="later")
RIS = Destination(name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=2575)


def event() -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.UPDATE,
        at=NOW,
        studies=(STUDY,),
        description="Test.",
    )


@dataclass
class Desk:
    """A reader at a study that a model read."""

    scene: Scene
    monotonic_s: float = 0.0
    woken: list[bool] = field(default_factory=list)
    at_s: float = NOW.timestamp()

    def __post_init__(self) -> None:
        self.store = self.scene.store
        self.steps = self.make_steps()
        ids = [one.id for one in self.store.readings.list_documents(self.scene.row_id)]
        self.store.deliveries.plan(STUDY, 1, ids, "archive", NOW)

    def make_steps(self) -> SettlingSteps:
        return SettlingSteps(
            store=self.store,
            destinations={one.name: one for one in (PACS, LATER, RIS)},
            clock=lambda: datetime.fromtimestamp(self.at_s, UTC),
            wake=lambda: self.woken.append(True),
            waits=Waits(lambda: self.monotonic_s),
        )

    def change(self, kind: ChangeKind = ChangeKind.EDITED, uid: str = FIRST, **said: object) -> Change:
        self.at_s += 1
        seen = [one.id for one in self.scene.changes if one.tracking_uid == uid]
        change = Change(
            study_instance_uid=STUDY,
            reading_digest=digest(self.scene.reading),
            tracking_uid=uid,
            kind=kind,
            said=Said(**said),
            at=self.at_s,
            who="ana",
        )
        return self.store.changes.add(change, seen=max(seen, default=0), event=event())

    def add_missed(self) -> Change:
        image = dcmread(self.scene.images[3])
        place = Slice(series_instance_uid=SERIES, sop_instance_uid=image.SOPInstanceUID, number=4)
        return self.change(
            ChangeKind.ADDED,
            new_tracking_uid("x"),
            label="cyst",
            laterality=code.RIGHT,
            measurements=lengths(9.0, 6.5),
            place=place,
        )

    def judge(self, verdict: Verdict, uid: str = SECOND) -> None:
        self.at_s += 1
        seen = [one.id for one in self.store.room.list_remarks(STUDY) if one.tracking_uid == uid]
        remark = Remark(
            study_instance_uid=STUDY,
            reading_digest=digest(self.scene.reading),
            tracking_uid=uid,
            verdict=verdict,
            reason=RejectReason.VESSEL if verdict is Verdict.REJECTED else None,
            at=self.at_s,
            who="ana",
        )
        self.store.room.say(remark, seen=max(seen, default=0), event=event())

    def leave_list(self) -> None:
        self.at_s += 1
        row = self.store.studies.find(STUDY)
        at = datetime.fromtimestamp(self.at_s, UTC)
        keep_reported(self.store, row, is_reported=True, at=at, told="Reported.", event=event())

    def report(self):
        row = self.reports[-1]
        return dcmread(io.BytesIO(self.store.readings.load_document(row).data))

    @property
    def reports(self):
        return self.scene.documents(DocumentKind.SR)

    def sent(self, row) -> list[tuple[str, DeliveryState]]:
        found = self.store.deliveries.list_for_study(STUDY)
        return [(one.destination, one.state) for one in found if one.document_id == row.id]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    scene = make_scene(tmp_path)
    yield Desk(scene)
    scene.store.close()


def items(item):
    for child in item.get("ContentSequence") or ():
        yield child
        yield from items(child)


def name_of(item) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""


def people_of(item) -> list[str]:
    found = [one for one in item.ContentSequence if name_of(one) == "Person Observer Name"]
    return [str(one.PersonName).rstrip("^") for one in found]


def groups(ds):
    """Return the measurement groups by the UID that each tracks."""
    found = {}
    for group in (one for one in items(ds) if name_of(one) == "Measurement Group"):
        (uid,) = [one.UID for one in group.ContentSequence if name_of(one) == "Tracking Unique Identifier"]
        found[uid] = group
    return found


def numbers(group) -> dict[str, tuple[float, set[str]]]:
    """Return each value of a group, with what is said of it."""
    return {
        name_of(one): (
            float(one.MeasuredValueSequence[0].NumericValue),
            {name_of(child) for child in one.get("ContentSequence") or ()},
        )
        for one in group.ContentSequence
        if one.ValueType == "NUM"
    }


def assert_valid(desk: Desk, folder: Path) -> None:
    path = folder / "left.dcm"
    path.write_bytes(desk.store.readings.load_document(desk.reports[-1]).data)
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_edits_follow_when_the_study_leaves_the_list(desk: Desk) -> None:
    desk.change(measurements=lengths(11.0, 8.0))
    desk.steps.sweep()
    assert len(desk.reports) == 1, "the reader is still at it"
    desk.leave_list()
    for _ in range(3):
        desk.steps.sweep()
    first, new = desk.reports
    assert desk.woken == [True]
    assert (new.ordinal, new.title) == (2, "Structured report, with what readers changed")
    # To who has the model's report, once; who came later and who takes messages only get none.
    assert desk.sent(new) == [("archive", DeliveryState.WAITING)]
    ds = desk.report()
    (study,) = ds.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid
    events = [one.message for one in desk.store.history.list_for_study(STUDY)]
    assert (
        events.count("A new structured report: what readers changed is in it, what they rejected is not.")
        == 1
    )


def test_each_value_says_whose_it_is(desk: Desk, tmp_path: Path) -> None:
    volume = desk.scene.reading.findings[0].measurements["volume_mm3"]
    desk.change(measurements=lengths(11.0, 8.0))
    desk.leave_list()
    desk.steps.sweep()
    ds = desk.report()
    of_reader, of_model = groups(ds)[FIRST], groups(ds)[SECOND]
    assert people_of(of_reader) == ["ana"]
    found = numbers(of_reader)
    assert found["Long Axis"] == (11.0, {"Measurement Method"})
    assert found["Short Axis"] == (8.0, {"Measurement Method"})
    methods = {
        str(child.ConceptCodeSequence[0].CodeValue)
        for one in of_reader.ContentSequence
        for child in one.get("ContentSequence") or ()
        if name_of(child) == "Measurement Method"
    }
    assert methods == {"113857"}, "manual entry"
    value, said = found["Volume"]
    assert value == pytest.approx(volume, abs=1e-3)
    assert "Algorithm Name" in said
    assert {name_of(one) for one in of_model.ContentSequence} >= {"Algorithm Name"}
    assert "Person Observer Name" not in {name_of(one) for one in of_model.ContentSequence}
    # Nobody outlined anything: it refers to the model's own Segmentation, and no other is made.
    (segmentation,) = desk.scene.documents(DocumentKind.SEG)
    referred = {
        one.ReferencedSOPInstanceUID
        for item in items(ds)
        for one in item.get("ReferencedSOPSequence") or ()
        if "ReferencedSegmentNumber" in one
    }
    assert referred == {segmentation.sop_instance_uid}
    assert_valid(desk, tmp_path)


def test_people_are_called_as_they_are(desk: Desk) -> None:
    desk.store.accounts.add("ana", "radiologist", NOW, display_name="Dr. Ana^Ruiz")
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    desk.steps.sweep()
    assert set(people_of(groups(desk.report())[FIRST])) == {"Dr. Ana Ruiz"}


def test_a_rejected_finding_is_out_and_an_added_one_is_in(desk: Desk, tmp_path: Path) -> None:
    desk.judge(Verdict.REJECTED)
    added = desk.add_missed()
    desk.leave_list()
    desk.steps.sweep()
    ds = desk.report()
    assert set(groups(ds)) >= {FIRST}
    assert SECOND not in groups(ds)
    assert_valid(desk, tmp_path)
    (item,) = [one for one in items(ds) if name_of(one) == "Finding" and one.RelationshipType == "CONTAINS"
               and one.ValueType == "CODE" and "ContentSequence" in one]  # fmt: skip
    inside = {name_of(one): one for one in item.ContentSequence}
    assert people_of(item) == ["ana"]
    assert added.tracking_uid == inside["Tracking Unique Identifier"].UID
    assert float(inside["Long Axis"].MeasuredValueSequence[0].NumericValue) == 9.0
    assert inside["Laterality"].ConceptCodeSequence[0].CodeMeaning == "Right"
    (image,) = [one for one in item.ContentSequence if one.ValueType == "IMAGE"]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == added.said.place.sop_instance_uid
    evidence = {
        one.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for study in ds.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert evidence[added.said.place.sop_instance_uid] == SERIES
    words = " ".join(str(one.TextValue) for one in items(ds) if "TextValue" in one)
    assert "Added 1, cyst, right, 9.0 × 6.5 mm." in words
    assert "Nodule 2 of the model (lung nodule, " in words
    assert "Triage" not in words, "what a model took for urgent, a reader has seen"


def test_all_rejected_is_nothing_found(desk: Desk, tmp_path: Path) -> None:
    for uid in (FIRST, SECOND):
        desk.judge(Verdict.REJECTED, uid)
    desk.leave_list()
    desk.steps.sweep()
    ds = desk.report()
    assert not set(groups(ds)) & {FIRST, SECOND}
    assert any(NOTHING_FOUND in str(one.get("TextValue", "")) for one in items(ds))
    assert_valid(desk, tmp_path)


def test_names_of_findings_stay_when_others_go(desk: Desk) -> None:
    desk.judge(Verdict.REJECTED, FIRST)
    desk.leave_list()
    desk.steps.sweep()
    (group,) = [one for uid, one in groups(desk.report()).items() if uid == SECOND]
    comments = [str(one.TextValue) for one in group.ContentSequence if name_of(one) == "Comment"]
    assert comments[0].startswith("Nodule 2, ")


def test_accepting_and_taking_back_make_no_report(desk: Desk) -> None:
    desk.judge(Verdict.ACCEPTED)
    desk.change(laterality=code.LEFT)
    desk.change(ChangeKind.UNDONE)
    desk.leave_list()
    desk.steps.sweep()
    assert len(desk.reports) == 1
    assert desk.store.settlings.list_open() == []


def test_what_is_taken_back_after_a_report_makes_another(desk: Desk) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    desk.steps.sweep()
    desk.change(ChangeKind.UNDONE)
    desk.leave_list()
    desk.steps.sweep()
    one, two, three = desk.reports
    assert len({one.sop_instance_uid, two.sop_instance_uid, three.sop_instance_uid}) == 3
    (series,) = desk.report().PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == two.sop_instance_uid
    assert "Person Observer Name" not in {name_of(item) for item in items(desk.report())}


def test_without_an_end_it_follows_when_nobody_changes_anything_any_more(desk: Desk) -> None:
    desk.change(laterality=code.LEFT)
    desk.steps.sweep()
    desk.monotonic_s += QUIET_S - 1
    desk.change(uid=SECOND, laterality=code.LEFT)
    desk.steps.sweep()
    desk.monotonic_s += QUIET_S - 1
    desk.steps.sweep()
    assert len(desk.reports) == 1
    desk.monotonic_s += 1
    desk.steps.sweep()
    assert len(desk.reports) == 2


def test_a_change_after_the_end_waits_as_well(desk: Desk) -> None:
    desk.leave_list()
    for uid in (FIRST, SECOND):
        desk.change(uid=uid, laterality=code.LEFT)
        desk.steps.sweep()
    assert len(desk.reports) == 1
    desk.monotonic_s += QUIET_S
    desk.steps.sweep()
    assert len(desk.reports) == 2


@pytest.mark.parametrize("where", ["audit", "history"])
def test_a_kill_in_between_leaves_nothing_half_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if where == "audit":
            patch.setattr(Audit, "record_in", die)
        else:
            patch.setattr("wetread.store.settling.History.add_in", die)
        with pytest.raises(Killed):
            desk.steps.sweep()
    assert len(desk.reports) == 1
    # The next process.
    desk.make_steps().sweep()
    assert len(desk.reports) == 2
    assert desk.sent(desk.reports[-1]) == [("archive", DeliveryState.WAITING)]
    desk.make_steps().sweep()
    assert len(desk.reports) == 2


def test_two_processes_make_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    other, real = desk.make_steps(), SettlingSteps._compose
    raced = []

    def compose(self, *arguments):
        documents = real(self, *arguments)
        if not raced:
            raced.append(True)
            other.sweep()
        return documents

    monkeypatch.setattr(SettlingSteps, "_compose", compose)
    desk.steps.sweep()
    assert len(desk.reports) == 2
    assert desk.sent(desk.reports[-1]) == [("archive", DeliveryState.WAITING)]


def test_a_change_in_the_middle_is_in_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    real = SettlingSteps._compose

    def compose(self, *arguments):
        monkeypatch.setattr(SettlingSteps, "_compose", real)
        desk.change(uid=SECOND, laterality=code.RIGHT)
        desk.leave_list()
        return real(self, *arguments)

    monkeypatch.setattr(SettlingSteps, "_compose", compose)
    desk.steps.sweep()
    assert len(desk.reports) == 1
    desk.steps.sweep()
    assert len(desk.reports) == 2
    words = " ".join(str(one.get("TextValue", "")) for one in items(desk.report()))
    assert "Nodule 1: edited by ana" in words
    assert "Nodule 2: edited by ana" in words


def test_while_more_images_wait_nothing_is_reported(desk: Desk, tmp_path: Path) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    extra = dcmread(desk.scene.images[0])
    extra.SOPInstanceUID = extra.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.999"
    extra.save_as(tmp_path / "extra.dcm")
    desk.scene.accept(tmp_path / "extra.dcm", "CT1")
    desk.steps.sweep()
    desk.scene.begin()
    desk.steps.sweep()
    assert len(desk.reports) == 1
    assert len(desk.store.settlings.list_open()) == 1


def test_who_has_nothing_of_the_model_gets_nothing(tmp_path: Path) -> None:
    desk = Desk.__new__(Desk)
    desk.scene, desk.monotonic_s, desk.woken = make_scene(tmp_path), 0.0, []
    desk.at_s = NOW.timestamp()
    desk.store = desk.scene.store
    desk.steps = desk.make_steps()
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    desk.steps.sweep()
    assert len(desk.reports) == 1
    assert desk.store.settlings.list_open() == []
    desk.store.close()


def test_a_segmentation_that_comes_back_says_all_there_is(desk: Desk) -> None:
    desk.change(uid=SECOND, laterality=code.LEFT)
    desk.scene.send(desk.scene.segmentation([ball((8, 16, 14), 6.5), OTHER], ["Nodule 1", "Nodule 2"]))
    desk.leave_list()
    desk.steps.sweep()
    assert len(desk.reports) == 2, "its own report has the edit as well"
    words = " ".join(str(one.get("TextValue", "")) for one in items(desk.report()))
    assert "Nodule 2: edited by ana" in words
    desk.change(measurements=lengths(11.0, 8.0))
    desk.leave_list()
    desk.steps.sweep()
    assert len(desk.reports) == 3
    found = numbers(groups(desk.report())[FIRST])
    # Measured on the reader's outline, but for what the reader measured by hand.
    assert found["Long Axis"] == (11.0, {"Measurement Method"})
    assert found["Volume"][1] == set()
    # The outlines of readers are in a Segmentation of its own.
    assert [one.ordinal for one in desk.scene.documents(DocumentKind.SEG)] == [1, 2, 3]


def test_images_that_are_gone_are_said_once_and_hold_nobody_up(desk: Desk) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()
    for path in desk.store.intake.instances.iter_paths():
        path.unlink()
    for _ in range(2):
        desk.steps.sweep()
    assert len(desk.reports) == 1
    told = [one for one in desk.store.history.list_for_study(STUDY) if one.code == "compose-failed"]
    assert len(told) == 1
    assert "could not be put into a new structured report" in told[0].message


def test_a_full_disk_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()

    def refuse(*_: object) -> None:
        raise StorageError

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.store.readings), "add_signed", refuse)
        for _ in range(3):
            desk.steps.sweep()
    told = [one for one in desk.store.history.list_for_study(STUDY) if one.code == "storage-error"]
    assert len(told) == 1
    desk.steps.sweep()
    assert len(desk.reports) == 2


def test_a_damaged_file_is_said_once_and_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.change(laterality=code.LEFT)
    desk.leave_list()

    def refuse(*_: object) -> None:
        raise DamagedFile

    monkeypatch.setattr(type(desk.store.readings), "load", refuse)
    for _ in range(2):
        desk.steps.sweep()
    told = [one for one in desk.store.history.list_for_study(STUDY) if one.code == "compose-failed"]
    assert len(told) == 1
    assert desk.store.settlings.list_open() == []


def test_the_models_own_reading_and_report_stay(desk: Desk) -> None:
    before = desk.store.readings.load_document(desk.reports[0]).data
    desk.change(measurements=lengths(11.0, 8.0))
    desk.leave_list()
    desk.steps.sweep()
    assert desk.store.readings.load_document(desk.reports[0]).data == before
    assert digest(desk.store.readings.load(digest(desk.scene.reading))) == digest(desk.scene.reading)
