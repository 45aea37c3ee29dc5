"""What has not arrived is on one page, and one click gives it a second chance."""

from datetime import timedelta

from fastapi.testclient import TestClient

from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.progress import DeliveryState
from wetread.store.audit_rows import AuditRows
from wetread.web import create_web

FORM = {"Origin": ORIGIN}
REFUSAL = "The PACS answered 0xA900."


def stage(ward: Ward, uid: str = "1.2.1", destination: str = "PACS") -> list[int]:
    ward.send(uid)
    ids = ward.plan(uid, ward.read(uid), destination)
    ward.store.deliveries.record(ids[0], DeliveryState.REFUSED, NOW, "not-acknowledged", REFUSAL)
    ward.store.deliveries.record(ids[1], DeliveryState.FAILED, NOW, "peer-unreachable", "Nobody there.")
    return ids


def states(ward: Ward, ids: list[int]) -> list[DeliveryState]:
    return [row.state for row in map(ward.store.deliveries.find, ids) if row is not None]


def test_the_page_tells_what_is_wrong_where(ward: Ward, client: TestClient) -> None:
    first, second, *_ = stage(ward)
    text = client.get("/deliveries").text
    assert REFUSAL in text
    assert "peer-unreachable" in text
    assert "The oldest has waited for" in text
    assert f"/deliveries/{first}/retry?then=deliveries" in text
    assert f"/deliveries/{second}/retry?then=deliveries" in text
    assert "Retry all 2 of this destination" in text
    assert "PACS: " in client.get("/").text
    assert "1 failed, 1 refused" in client.get("/").text


def test_where_all_has_arrived_nothing_alarms(ward: Ward, client: TestClient) -> None:
    for one in stage(ward):
        ward.store.deliveries.record(one, DeliveryState.SENT, NOW)
    assert "Everything has been delivered." in client.get("/deliveries").text
    assert "banner" not in client.get("/").text


def test_a_short_wait_is_no_trouble_and_a_long_one_is(ward: Ward) -> None:
    ward.send("1.2.1")
    row = ward.read("1.2.1")
    ward.plan("1.2.1", row)
    for waited, is_trouble in ((timedelta(minutes=1), False), (timedelta(minutes=6), True)):
        at = row.made_at + waited.total_seconds()
        app = create_web(ward.store, [make_model()], now=lambda at=at: NOW.fromtimestamp(at, NOW.tzinfo))
        with TestClient(app, base_url=ORIGIN) as client:
            assert ("banner" in client.get("/").text) is is_trouble


def test_one_is_tried_again(ward: Ward, client: TestClient) -> None:
    first, second, *_ = stage(ward)
    answer = client.post(f"/deliveries/{first}/retry?then=deliveries", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deliveries")
    assert states(ward, [first, second]) == [DeliveryState.WAITING, DeliveryState.FAILED]


def test_all_of_a_destination_are_tried_again_and_it_is_known_who_asked(
    ward: Ward, client: TestClient
) -> None:
    ours = [*stage(ward)[:2], *stage(ward, "1.2.2")[:2]]
    others = stage(ward, "1.2.3", "RIS")[:2]
    assert client.post("/deliveries/retry?destination=PACS", headers=FORM).status_code == 303
    assert set(states(ward, ours)) == {DeliveryState.WAITING}
    assert DeliveryState.WAITING not in states(ward, others)
    told = [event.message for event in ward.store.history.list_for_study("1.2.2")]
    assert any("PACS: 2 documents to be tried again, asked for by" in message for message in told)
    entries = [str(one.message) for one in AuditRows(ward.store.engine).list_last(10, study="1.2.2")]
    assert any("Delivery of 2 documents to PACS started again." in entry for entry in entries)


def test_another_site_cannot_ask_for_it(ward: Ward, client: TestClient) -> None:
    first, *_ = stage(ward)
    answer = client.post("/deliveries/retry?destination=PACS", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert states(ward, [first]) == [DeliveryState.REFUSED]


def test_the_service_is_told_only_if_something_waits_again(ward: Ward) -> None:
    first, *_ = stage(ward)
    told: list[bool] = []
    app = create_web(ward.store, (), on_retry=lambda: told.append(True), now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        for _ in range(2):
            client.post(f"/deliveries/{first}/retry", headers=FORM)
    assert told == [True]
