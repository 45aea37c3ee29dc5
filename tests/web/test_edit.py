"""Readers edit findings and add missed ones: their values count, the model's stay beside them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tests.domain.test_reading import make_reading
from tests.web.conftest import EVIL, NOW, ORIGIN, Ward, make_model
from tests.web.test_review import FINDING, UID, Reader, _visitor
from wetread.domain.change import ChangeKind
from wetread.domain.document import Document, DocumentKind
from wetread.domain.report import Report, ReportState, Section
from wetread.store.erasure import delete_study
from wetread.web import create_web

SERIES = f"{UID}.1"
TEXT = """WET READ

IMPRESSION
Nodule 1, left lung.
Triage: routine

FINDINGS
Nodule 1: solid lung nodule, left, volume 500 mm³, probability 0.90.
"""


class Editor(Reader):
    """A reader who changes things."""

    def edit(self, seen: int = 0, **form: object):
        whole = {"reading": self.digest, "finding": FINDING, "seen": seen, "side": "left", "texture": "solid"}
        return self.post("edits", **(whole | form))

    def add(self, **form: object):
        whole = {"reading": self.digest, "label": "lung nodule", "series": SERIES, "number": 7}
        return self.post("missed", **(whole | form))

    def undo(self, finding: str = FINDING):
        return self.post("undo", reading=self.digest, finding=finding, seen=self.changes()[-1].id)

    def changes(self):
        return self.ward.store.changes.list_for_study(UID)

    def prefilled(self, section: str) -> str:
        found = re.search(rf'<textarea id="section-{section}"[^>]*>([^<]*)<', self.page)
        assert found
        return found[1]


@pytest.fixture
def reader(ward: Ward, client: TestClient) -> Editor:
    key = ward.send(UID, InstanceNumber=7, SeriesDescription=f"Thorax {EVIL}")
    row = ward.read(UID)
    text = Document(
        kind=DocumentKind.TEXT,
        ordinal=2,
        sop_instance_uid="",
        sop_class_uid="",
        series_instance_uid="",
        title="Text",
        data=TEXT.encode(),
    )
    ward.store.readings.save_documents(row.id, (text,))
    return Editor(client, ward, key)


def test_a_reader_edits_label_type_side_and_size(reader: Editor) -> None:
    form = {"label": "granuloma", "texture": "part-solid", "side": "right", "long": "9,5", "short": "7"}
    assert reader.edit(**form).status_code == 303
    (change,) = reader.changes()
    assert (change.kind, change.who, change.at) == (ChangeKind.EDITED, "anybody", NOW.timestamp())
    page = reader.page
    table = page[page.index("<caption>Granuloma") : page.index('id="changed-')]
    for shown in ("right", "part-solid", "9.5", "7.0", "8.2", "v-edited"):
        assert shown in table
    beside = page[page.index('id="changed-') :]
    for what, had, has in (
        ("finding", "lung nodule", "granuloma"),
        ("type", "solid", "part-solid"),
        ("side", "left", "right"),
        ("long axis", "not measured", "9.5 mm"),
    ):
        assert f"<td>{what}</td><td>{had}</td><td>{has}</td>" in beside
    assert "A finding: edited by anybody." in page


def test_the_reading_itself_is_never_changed(reader: Editor) -> None:
    before = reader.ward.store.readings.load(reader.digest)
    reader.edit(label="granuloma", long="9", short="7")
    assert reader.ward.store.readings.load(reader.digest).findings == before.findings


def test_the_draft_report_has_the_readers_values(reader: Editor) -> None:
    reader.edit(long="9.5", short="7")
    findings = reader.prefilled("findings")
    assert "Nodule 1: solid lung nodule, left, 9.5 × 7.0 mm, volume 500 mm³, mean diameter 8.2 mm" in findings
    assert "Changed by anybody." in findings
    assert "Nodule 1, 8.2 mm, left." in reader.prefilled("impression")


def test_a_changed_finding_that_is_rejected_is_not_in_the_draft(reader: Editor) -> None:
    reader.edit(long="9.5", short="7")
    reader.judge("rejected", reason="vessel")
    assert "Nodule 1" not in reader.prefilled("findings") + reader.prefilled("impression")


def test_the_last_change_is_taken_back_and_all_are_kept(reader: Editor) -> None:
    reader.edit(long="9.5", short="7")
    reader.edit(seen=reader.changes()[-1].id, label="granuloma", long="9.5", short="7.0")
    assert reader.changes()[-1].said.measurements == {}
    assert reader.undo().status_code == 303
    assert "granuloma" not in reader.page[reader.page.index('id="changed-') :].lower()
    assert "9.5 × 7.0 mm" in reader.prefilled("findings")
    assert reader.undo().status_code == 303
    assert "9.5" not in reader.prefilled("findings")
    assert len(reader.changes()) == 4
    assert reader.undo().status_code == 409


def test_a_page_that_is_behind_does_not_overwrite(reader: Editor) -> None:
    reader.edit(label="granuloma")
    answer = reader.edit(label="metastasis")
    assert answer.status_code == 409
    assert "Somebody changed this finding meanwhile" in answer.text
    assert len(reader.changes()) == 1


def test_a_reading_that_was_replaced_is_not_edited(reader: Editor) -> None:
    digest = reader.digest
    reader.ward.send(UID)
    reader.ward.read(UID)
    for answer in (reader.edit(reading=digest, label="cyst"), reader.add(reading=digest)):
        assert answer.status_code == 409
        assert "read anew" in answer.text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"long": "7", "short": "9"}, "longer than the long one"),
        ({"long": "0", "short": ""}, "more than nothing"),
        ({}, "Nothing was changed"),
    ],
)
def test_what_cannot_be_is_refused(reader: Editor, form: dict[str, str], told: str) -> None:
    answer = reader.edit(**form)
    assert answer.status_code == 409
    assert told in answer.text
    assert not reader.changes()


@pytest.mark.parametrize(
    "form",
    [
        {"long": "-3"},
        {"long": "nan"},
        {"side": "middle"},
        {"texture": "<b>"},
        {"label": "x" * 65},
        {"reading": "0" * 63},
        {"finding": "2.25.999", "label": "cyst"},
    ],
)
def test_what_no_page_of_ours_sends_is_not_found(reader: Editor, form: dict[str, str]) -> None:
    assert reader.edit(**form).status_code == 404
    assert not reader.changes()


def test_a_reading_of_another_study_is_not_edited_here(reader: Editor) -> None:
    reader.ward.send("1.2.9")
    other = reader.ward.read("1.2.9").digest
    assert reader.edit(reading=other, label="cyst").status_code == 409
    assert reader.add(reading=other).status_code == 409
    assert not reader.ward.store.changes.list_for_study("1.2.9")


def test_a_missed_finding_is_added_with_its_slice(reader: Editor) -> None:
    assert reader.add(side="right", long="6", short="4", text=f"behind the heart {EVIL}").status_code == 303
    (change,) = reader.changes()
    place = change.said.place
    assert place is not None
    assert (place.series_instance_uid, place.number) == (SERIES, 7)
    assert place.sop_instance_uid == f"{UID}.1.1"
    assert change.said.code is not None
    assert change.said.code.value == "27925004"
    page = reader.page
    assert EVIL not in page
    assert "Added by readers" in page
    line = "Added 1: lung nodule, right, slice 7 of CT Thorax"
    assert line in reader.prefilled("findings")
    assert "6.0 × 4.0 mm. Added by anybody." in reader.prefilled("findings")
    assert "Added 1, lung nodule, right, 6.0 × 4.0 mm." in reader.prefilled("impression")
    assert reader.add(side="right", long="6", short="4").status_code == 409
    assert reader.undo(change.tracking_uid).status_code == 303
    assert "Added 1" not in reader.page
    assert reader.add(side="right", long="6", short="4").status_code == 303


def test_a_name_that_the_model_does_not_know_has_no_code(reader: Editor) -> None:
    reader.add(label=" rib   fracture ")
    (change,) = reader.changes()
    assert (change.said.label, change.said.code) == ("rib fracture", None)


@pytest.mark.parametrize("form", [{"number": 8}, {"series": "1.2.9.1"}])
def test_a_slice_that_is_not_there_is_refused(reader: Editor, form: dict[str, object]) -> None:
    answer = reader.add(**form)
    assert answer.status_code == 409
    assert "no slice" in answer.text
    assert not reader.changes()


def test_a_number_that_two_slices_bear_names_none(reader: Editor) -> None:
    reader.ward.send(UID, InstanceNumber=7)
    assert reader.add().status_code == 409


def test_a_missed_finding_counts_against_the_model(ward: Ward, reader: Editor) -> None:
    reader.judge("accepted")
    reader.add()
    reader.add(long="5", short="5")
    reader.undo(reader.changes()[-1].tracking_uid)
    row = ward.store.readings.list_for_study(UID)[0]
    with TestClient(create_web(ward.store, [make_model()], now=lambda: NOW), base_url=ORIGIN) as client:
        page = client.get(f"/models/{row.model_name}").text
    assert "1 of 2" in page
    # One study: no interval can be given.
    assert "50%" in page


def test_the_api_tells_what_readers_changed(reader: Editor) -> None:
    reader.edit(label="granuloma", long="9", short="7")
    reader.add(side="left")
    row = reader.ward.store.readings.list_for_study(UID)[0]
    told = reader.client.get(f"/api/v1/readings/{row.id}").json()
    (finding,) = told["findings"]
    assert finding["label"] == "lung nodule"
    assert finding["measurements"] == {"volume_mm3": 500.0}
    by_reader = finding["reader"]
    assert (by_reader["label"], by_reader["by"]) == ("granuloma", "anybody")
    assert by_reader["measurements"]["long_axis_mm"] == 9.0
    (missed,) = told["added"]
    assert (missed["name"], missed["label"], missed["slice_number"]) == ("Added 1", "lung nodule", 7)


def test_deleting_a_study_deletes_what_was_changed(reader: Editor) -> None:
    store = reader.ward.store
    reader.edit(label="granuloma")
    row = store.studies.find(UID)
    event = reader.client.app.state.site.trail.change(_visitor(), row, "Deleted.")
    assert delete_study(store, UID, event=event, keep=lambda _c, _s: "", why="a test") == ""
    assert not reader.changes()


def test_names_stay_though_a_finding_is_called_otherwise(reader: Editor) -> None:
    reader.edit(label="granuloma")
    assert make_reading().finding_names == ("Nodule 1",)
    assert "Nodule 1: solid granuloma" in reader.prefilled("findings")


def test_a_draft_that_is_older_than_a_change_is_named(reader: Editor) -> None:
    store, told = reader.ward.store, "Changed by a reader since this draft was saved: "
    assert told not in reader.page
    draft = Report(
        study_instance_uid=UID,
        revision=1,
        state=ReportState.DRAFT,
        sections={Section.FINDINGS: "Nodule 1: solid."},
        who="anybody",
        at=NOW.timestamp() - 60,
    )
    store.reports.save(draft, seen=0)
    assert told not in reader.page
    reader.edit(label="granuloma")
    reader.add()
    assert f"{told}Added 1, Nodule 1." in reader.page
    newest = store.reports.list_for_study(UID)[-1]
    store.reports.save(replace(draft, at=NOW.timestamp() + 1), seen=newest.id)
    assert told not in reader.page
