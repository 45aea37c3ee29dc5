"""An administrator sees what goes and what stays, and places and lifts legal holds."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import PASSWORD, House
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.study import study_key
from wetread.errors import ConfigError
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows
from wetread.store.retention import Policy, RetentionSettings, judge, run_retention
from wetread.web import create_web
from wetread.web.site import Installation


@pytest.fixture
def house(ward: Ward) -> House:
    one = House(ward)
    one.add("admin", Role.ADMINISTRATOR)
    return one


def make_policy(**settings: object) -> Policy:
    return Policy(settings=RetentionSettings(**settings), asked_destinations=frozenset())


def show(ward: Ward, **settings: object) -> str:
    policy = Installation(policy=make_policy(**settings))
    app = create_web(ward.store, [make_model()], installation=policy, now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN) as client:
        return client.get("/admin/retention").text


def stage(ward: Ward, uid: str, age: timedelta, **more: object) -> None:
    ward.send(uid, waiting=age, name="Okonkwo^Adaeze", **more)
    ward.refuse(uid)


def lift(client: TestClient, uid: str, **form: str):
    data = {"password": PASSWORD, "why": "Case 7 is closed.", **form}
    return client.post(f"/admin/holds/{study_key(uid)}/lift", data=data)


def trail(ward: Ward) -> list[str]:
    return [one.message for one in AuditRows(ward.store.engine).list_last(50)]


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.LEAD, Role.DATA_SCIENTIST])
def test_only_an_administrator_comes_in(house: House, role: Role) -> None:
    stage(house.ward, "1.2.1", timedelta(days=1))
    house.store.holds.place("1.2.1", "case 7", "test", NOW)
    house.add("anna", role)
    client = house.signed_in("anna")
    assert client.get("/admin/retention").status_code == 403
    assert client.post("/admin/holds", data={"study": "1.2.1", "why": "x"}).status_code == 403
    assert lift(client, "1.2.1").status_code == 403
    assert len(house.store.holds.list_all()) == 1


def test_what_goes_when_and_what_stays_is_told_without_names(ward: Ward) -> None:
    stage(ward, "1.2.1", timedelta(days=40))
    stage(ward, "1.2.2", timedelta(days=25))
    stage(ward, "1.2.3", timedelta(days=40))
    ward.send("1.2.4", waiting=timedelta(days=40))
    ward.store.holds.place("1.2.3", "case 7 of Okonkwo", "test", NOW)
    text = show(ward, days=30, keep_unreported=False)
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", text))
    assert counts == {
        "due now": "1", "within a week": "2", "within 30 days": "2", "within a year": "2",
        "not read yet": "1", "on legal hold": "1", "younger than 30 days": "1",
    }  # fmt: skip
    rows = re.findall(r'<a href="/studies/(\w+)">\w+</a></th>(.*?)</tr>', text)
    going = [(key, "within the hour" in rest) for key, rest in rows]
    assert going[:2] == [(study_key("1.2.1"), True), (study_key("1.2.2"), False)]
    assert (NOW + timedelta(days=5)).astimezone().strftime("%Y-%m-%d %H:%M:%S") in text
    assert run_retention(ward.store, make_policy(days=30, keep_unreported=False), NOW).deleted == 1
    assert ward.store.studies.find("1.2.1") is None, "as the page said"
    assert ward.store.studies.find("1.2.2") is not None


def test_an_administrator_sees_no_name_in_a_reason(house: House) -> None:
    stage(house.ward, "1.2.3", timedelta(days=1))
    house.store.holds.place("1.2.3", "case 7 of Okonkwo", "test", NOW)
    text = house.signed_in("admin").get("/admin/retention").text
    assert "case 7 of" in text
    for word in ("Okonkwo", "Adaeze", ">1.2.3<"):
        assert word not in text


def test_without_rules_nothing_goes(ward: Ward) -> None:
    stage(ward, "1.2.1", timedelta(days=4000))
    text = show(ward)
    assert "Nothing is ever deleted." in text
    assert "What goes</h2>" not in text


def test_where_the_disk_decides_the_oldest_stand_first(ward: Ward) -> None:
    for number, days in ((1, 2), (2, 9), (3, 5)):
        stage(ward, f"1.2.{number}", timedelta(days=days))
    text = show(ward, disk_percent=90.0, keep_unreported=False)
    assert text.count("when the disk needs it") == 3
    keys = re.findall(r'<a href="/studies/(\w+)">', text)
    assert keys == [study_key(f"1.2.{number}") for number in (2, 3, 1)]


def test_the_verdict_names_the_day_unless_something_else_keeps_it(ward: Ward) -> None:
    stage(ward, "1.2.1", timedelta(days=1))
    stage(ward, "1.2.2", timedelta(days=1))
    ward.store.holds.place("1.2.2", "case 7", "test", NOW)
    by_uid = {
        one.study_instance_uid: one
        for one in judge(ward.store, make_policy(days=30, keep_unreported=False), NOW)
    }
    assert by_uid["1.2.1"].goes_at == (NOW + timedelta(days=29)).timestamp()
    assert by_uid["1.2.2"].goes_at is None
    assert {one.goes_at for one in judge(ward.store, make_policy(), NOW)} == {None}


@pytest.mark.parametrize("named", ["1.2.1", "A1", study_key("1.2.1")])
def test_a_hold_is_placed_and_lifted_with_reasons_that_stay(house: House, named: str) -> None:
    stage(house.ward, "1.2.1", timedelta(days=40))
    admin = house.signed_in("admin")
    assert admin.post("/admin/holds", data={"study": named, "why": "case 7"}).status_code == 303
    [held] = house.store.holds.list_all()
    assert (held.study_instance_uid, held.reason, held.placed_by) == ("1.2.1", "case 7", "admin")
    assert "case 7" in admin.get("/admin/retention").text
    policy = make_policy(days=30, keep_unreported=False)
    assert run_retention(house.store, policy, NOW).deleted == 0
    assert lift(admin, "1.2.1", why="  ").status_code == 409
    assert lift(admin, "1.2.1", password="wrong").status_code == 401  # noqa: S106
    assert len(house.store.holds.list_all()) == 1
    assert lift(admin, "1.2.1").status_code == 303
    assert house.store.holds.list_all() == []
    told = trail(house.ward)
    assert any("placed on legal hold: case 7" in one for one in told)
    assert any("released from legal hold: Case 7 is closed." in one for one in told)
    assert lift(admin, "1.2.1").status_code == 409, "there is none any more"
    assert lift(admin, "9.9.9").status_code == 404
    assert run_retention(house.store, policy, NOW).deleted == 1


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"study": "9.9.9", "why": "case"}, 409),
        ({"study": "1.2.1", "why": ""}, 409),
        ({"study": "1.2.1", "why": " \t"}, 404),
        ({"study": "1.2.1", "why": "x" * 401}, 404),
        ({"study": "", "why": "case"}, 404),
        ({"study": "1.2.2", "why": "again"}, 409),
    ],
)
def test_what_is_no_hold_is_refused(house: House, form: dict[str, str], status: int) -> None:
    for uid in ("1.2.1", "1.2.2"):
        stage(house.ward, uid, timedelta(days=1))
    house.store.holds.place("1.2.2", "case 7", "test", NOW)
    assert house.signed_in("admin").post("/admin/holds", data=form).status_code == status
    assert [one.reason for one in house.store.holds.list_all()] == ["case 7"]


def test_who_sees_one_sender_only_sees_and_holds_nothing_of_others(house: House) -> None:
    stage(house.ward, "1.2.1", timedelta(days=1), source="CT_OURS")
    stage(house.ward, "1.2.2", timedelta(days=1), source="CT_THEIRS")
    house.store.holds.place("1.2.2", "their case", "test", NOW)
    house.add("ours", Role.ADMINISTRATOR, sources=("CT_OURS",))
    client = house.signed_in("ours")
    text = client.get("/admin/retention").text
    assert "their case" not in text
    assert study_key("1.2.2") not in text
    for study in ("1.2.2", "9.9.9"):
        answer = client.post("/admin/holds", data={"study": study, "why": "case"})
        assert answer.status_code == 409
    assert lift(client, "1.2.2").status_code == 404
    assert len(house.store.holds.list_all()) == 1


def test_a_hold_on_what_is_gone_can_be_lifted(house: House) -> None:
    stage(house.ward, "1.2.1", timedelta(days=1))
    house.store.holds.place("1.2.1", "case 7", "test", NOW)
    with house.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM series WHERE study_instance_uid = '1.2.1'")
        for table in ("reading", "revision", "instance", "event", "study"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE study_instance_uid = '1.2.1'")  # noqa: S608
    admin = house.signed_in("admin")
    assert "not here any more" in admin.get("/admin/retention").text
    assert lift(admin, "1.2.1").status_code == 303


def test_a_hold_needs_a_reason_by_whatever_way(ward: Ward) -> None:
    ward.send("1.2.1")
    with pytest.raises(ConfigError):
        ward.store.holds.place("1.2.1", " \n", "test", NOW)
    with pytest.raises(ConfigError):
        ward.store.holds.place("1.2.1", "x" * 401, "test", NOW)
    ward.store.holds.place("1.2.1", "case\n7", "test", NOW)
    with pytest.raises(ConfigError):
        ward.store.holds.release("1.2.1", "", "test", NOW)
    assert [one.reason for one in ward.store.holds.list_all()] == ["case 7"]
