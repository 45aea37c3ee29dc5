"""The pages tell the truth about what is in the store, and nothing that a sender wrote is markup."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from tests.domain.test_reading import make_reading
from tests.web.conftest import EVIL, NOW, ORIGIN, PDF, Ward, make_match, make_png
from wetread.domain.comparison import Comparison
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Triage

FORM = {"Origin": ORIGIN}


class Markup(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def look(client: TestClient, path: str) -> Markup:
    answer = client.get(path)
    assert answer.status_code == 200
    return Markup(answer.text)


def row_keys(page: Markup) -> list[str | None]:
    keys = [
        attributes["data-key"] for tag, attributes in page.tags if tag == "tr" and "data-key" in attributes
    ]
    return [one for one in keys if one != "tally"]


def test_the_list_is_ordered_by_urgency_with_reasons(ward: Ward, client: TestClient, stat: Triage) -> None:
    routine = ward.send("1.2.1", waiting=timedelta(hours=3, minutes=20))
    urgent = ward.send("1.2.2", waiting=timedelta(minutes=10))
    ward.read("1.2.1", findings=())
    ward.read("1.2.2", stat)
    page = look(client, "/")
    assert row_keys(page) == [urgent, routine]
    assert "Pneumothorax, right, 180 ml" in page.text
    assert "3 h 20 min" in page.text
    assert "Doe, Jane" in page.text
    assert "PID1 · 64 y · F" in page.text
    assert "CT · 1 image · today · A1" in page.text


def test_the_states_are_told_apart(ward: Ward, client: TestClient) -> None:
    for number in range(1, 6):
        ward.send(f"1.2.{number}")
    ward.begin("1.2.2")
    ward.read("1.2.3", findings=())
    ward.read("1.2.4")
    ward.refuse("1.2.5")
    text = look(client, "/").text
    for words in (
        "arriving",
        "being read",
        "read, nothing found",
        "read, 1 finding",
        "Slices 3 to 5 are missing.",
    ):
        assert words in text
    lines = client.get("/api/v1/reading-list").json()["items"]
    states = {one["state"]: one["state_words"] for one in lines}
    triaged = [one["state"] for one in lines if one["is_triaged"]]
    assert triaged == ["read", "read"]
    assert states["not-read"] == "not read, because: Slices 3 to 5 are missing."


def test_late_images_keep_the_earlier_reading_and_say_so(
    ward: Ward, client: TestClient, stat: Triage
) -> None:
    key = ward.send("1.2.1")
    ward.read("1.2.1", stat)
    ward.send("1.2.1")
    (line,) = client.get("/api/v1/reading-list").json()["items"]
    assert line["state_words"] == "arriving, more images than were read before"
    assert line["priority"] == "stat"
    ward.begin("1.2.1")
    (line,) = client.get("/api/v1/reading-list").json()["items"]
    assert line["state_words"] == "being read, more images than were read before"
    ward.send("1.2.1")
    ward.read("1.2.1", findings=())
    page = look(client, f"/studies/{key}")
    assert "Revision 3" in page.text
    assert "superseded" in page.text
    assert "lung nodule" not in page.text.lower()


def test_composing_the_first_reading_is_no_second_reading(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1")
    ward.begin("1.2.1")
    ward.store.readings.save(replace(make_reading(), study_instance_uid="1.2.1"))
    (line,) = client.get("/api/v1/reading-list").json()["items"]
    assert line["state_words"] == "being read"


def test_the_study_page_shows_everything(ward: Ward, client: TestClient, stat: Triage) -> None:
    key = ward.send("1.2.1")
    row = ward.read("1.2.1", stat)
    page = look(client, f"/studies/{key}")
    for words in (
        "Doe, Jane", "Pneumothorax, right, 180 ml", "Lung nodule", "Nodule 1", "500", "left", "solid", "90",
        "NODULE",
        "Thinnest axial.", "SCOUT", "A localizer is no volume.", "quiet for 10 s", "Read in 20 s.",
        "Not for clinical use", "4000", "Chest CT wet read",
    ):  # fmt: skip
        assert words in page.text, words
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    png = next(one for one in ward.store.readings.list_documents(row.id) if one.kind == "png")
    assert sources == [f"/documents/{png.id}/image"]


def test_documents_are_served_as_what_they_are(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1")
    row = ward.read("1.2.1")
    ids = {one.kind.value: one.id for one in ward.store.readings.list_documents(row.id)}
    image = client.get(f"/documents/{ids['png']}/image")
    assert (image.headers["content-type"], image.content) == ("image/png", make_png())
    pdf = client.get(f"/documents/{ids['pdf']}/pdf")
    assert (pdf.headers["content-type"], pdf.content) == ("application/pdf", PDF)
    text = client.get(f"/documents/{ids['text']}/text")
    assert text.headers["content-type"].startswith("text/plain")
    assert client.get(f"/documents/{ids['sr']}/image").status_code == 404


def test_what_a_sender_wrote_is_never_markup(ward: Ward, client: TestClient) -> None:
    names = {
        "PatientID": f'"{EVIL}', "AccessionNumber": EVIL, "StudyDescription": "<script>alert(1)</script>",
        "PatientSex": EVIL, "StudyDate": EVIL, "Modality": EVIL,
    }  # fmt: skip
    key = ward.send("1.2.1", name=f"{EVIL}^{EVIL}", **names)
    ward.read("1.2.1", Triage(reasons=(EVIL,)))
    ward.note("1.2.1", "receive", EVIL)
    for path in ("/", f"/studies/{key}", "/fragments/list", f"/fragments/studies/{key}"):
        page = look(client, path)
        assert EVIL in page.text
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
            assert tag != "style"
            scripts = ("wetread.js", "viewer.js", "alerts.js", "ohif.js")
            assert tag != "script" or str(attributes["src"]).removeprefix("/static/") in scripts
            assert tag != "img" or str(attributes["src"]).startswith("/documents/")


def test_no_address_names_patient_or_uid(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.826.777")
    ward.read("1.2.826.777")
    for path in ("/", f"/studies/{key}"):
        for _, attributes in look(client, path).tags:
            address = f"{attributes.get('href')}{attributes.get('src')}{attributes.get('action')}"
            assert not re.search(r"Doe|PID|1\.2\.826|A7", address)


def test_delivery_is_visible_and_never_told_too_early(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    row = ward.read("1.2.1")
    ids = ward.plan("1.2.1", row)
    told = ["waiting"]
    for one in ids[:-1]:
        ward.store.deliveries.record(one, DeliveryState.VERIFIED, NOW)
    told.append("1 of 4 waiting")
    assert told[-1] in look(client, "/").text
    ward.store.deliveries.record(ids[-1], DeliveryState.REFUSED, NOW, "not-acknowledged", "Status 0xA700.")
    assert "1 of 4 refused" in look(client, "/").text
    assert "Status 0xA700." in look(client, f"/studies/{key}").text
    ward.store.deliveries.record(ids[-1], DeliveryState.SENT, NOW)
    assert "PACS delivered" in look(client, "/").text
    assert "delivered, checked" not in look(client, "/").text
    ward.store.deliveries.record(ids[-1], DeliveryState.VERIFIED, NOW)
    assert "delivered, checked" in look(client, "/").text


def test_a_refused_delivery_is_tried_again(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    first, *_ = ward.plan("1.2.1", ward.read("1.2.1"))
    ward.store.deliveries.record(first, DeliveryState.REFUSED, NOW)
    forms = [
        a["action"] for tag, a in look(client, f"/studies/{key}").tags if tag == "form" and "action" in a
    ]
    assert f"/deliveries/{first}/retry" in forms
    answer = client.post(f"/deliveries/{first}/retry", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{key}")
    delivery = ward.store.deliveries.find(first)
    assert delivery is not None
    assert delivery.state is DeliveryState.WAITING
    assert client.post("/deliveries/999/retry", headers=FORM).status_code == 404


def test_a_reported_study_leaves_the_list_and_can_come_back(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    assert client.post(f"/studies/{key}/report", headers=FORM).status_code == 303
    assert row_keys(look(client, "/")) == ["none"]
    assert row_keys(look(client, "/?show=reported")) == [key]
    assert "Put back on the list" in look(client, f"/studies/{key}").text
    client.post(f"/studies/{key}/reopen", headers=FORM)
    assert row_keys(look(client, "/")) == [key]
    messages = [event.message for event in ward.store.history.list_for_study("1.2.1")]
    assert messages == ["Marked as reported.", "Put back on the reading list."]


def test_neighbours_on_the_list_are_linked(ward: Ward, client: TestClient) -> None:
    first, second = ward.send("1.2.1", waiting=timedelta(hours=2)), ward.send("1.2.2")
    page = look(client, f"/studies/{first}")
    links = {a.get("id"): a.get("href") for tag, a in page.tags if tag == "a"}
    assert links["next"] == f"/studies/{second}"
    assert "previous" not in links
    assert "1 of 2" in page.text


def test_an_unchanged_fragment_is_not_sent_again(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    for path in ("/fragments/list", f"/fragments/studies/{key}"):
        etag = client.get(path).headers["etag"]
        assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    ward.begin("1.2.1")
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_the_json_says_the_same(ward: Ward, client: TestClient, stat: Triage) -> None:
    key = ward.send("1.2.1")
    ward.read("1.2.1", stat)
    (line,) = client.get("/api/v1/reading-list").json()["items"]
    assert line["reasons"] == ["Pneumothorax, right, 180 ml"]
    study = client.get(f"/api/v1/studies/{key}").json()
    assert study["study"] == line
    assert study["study"]["study_instance_uid"] == "1.2.1"
    reading = client.get(f"/api/v1/readings/{study['readings'][0]['id']}").json()
    assert reading["findings"][0]["label"] == "lung nodule"
    assert client.get("/health").json() == {"status": "ok"}


def test_an_empty_list_says_what_to_do(client: TestClient) -> None:
    assert "Send one by C-STORE" in look(client, "/").text


def test_a_study_that_no_model_reads_says_why(ward: Ward, client: TestClient) -> None:
    problem = {"code": "no-suitable-series", "message": "None of 2 series can be read.", "refuses": True}
    model = {
        "name": "chest-ct",
        "chosen_series": "",
        "rule": "chest",
        "reason": "Not read",
        "problems": [problem],
    }
    key = ward.send("1.2.1")
    ward.begin("1.2.1")
    ward.store.studies.save_match("1.2.1", 1, {"models": [model]})
    ward.store.studies.finish_revision("1.2.1", 1, StudyState.NOT_READ, NOW)
    assert "None of 2 series can be read." in look(client, "/").text
    page = look(client, f"/studies/{key}")
    assert "not read, because: None of 2 series can be read." in page.text
    assert "no-suitable-series" in page.text


def test_a_reading_that_stopped_says_why(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1")
    ward.begin("1.2.1")
    ward.store.studies.save_match("1.2.1", 1, make_match("1.2.1"))
    ward.note("1.2.1", "infer", "The reading stopped.", "problem")
    ward.store.studies.finish_revision("1.2.1", 1, StudyState.NOT_READ, NOW)
    (line,) = client.get("/api/v1/reading-list").json()["items"]
    assert line["state_words"] == "not read, because: The reading stopped."


@pytest.mark.sqlite
def test_health_tells_that_the_index_is_gone(ward: Ward, client: TestClient) -> None:
    # A folder in its place: what a lost mount looks like.
    ward.store.engine.dispose()
    for path in ward.store.data.glob("index.sqlite*"):
        path.unlink()
    (ward.store.data / "index.sqlite").mkdir()
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "index-unavailable"})


def test_what_became_of_a_finding_stands_beside_its_name(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    finding = make_reading().findings[0]
    comparison = Comparison(
        study_instance_uid="1.2.0", studied_on="2026-01-12", interval_days=90, lung_overlap=1.0,
        vessel_likeness=0.9, new=(finding.tracking_uid,),
    )  # fmt: skip
    ward.read("1.2.1", comparison=comparison)
    text = look(client, f"/studies/{key}").text
    assert "Name Side Type Change since prior" in text
    assert "left solid new" in text
