"""Every route: who may call it, and whose studies it shows. What is added later is asked the same."""

import re
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount

from tests.alerted import raise_alert
from tests.domain.test_reading import make_reading
from tests.identity.conftest import House
from tests.stores import open_store
from tests.web.conftest import ORIGIN
from wetread.domain.comparison import Comparison, PriorImages
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState
from wetread.domain.study import study_key
from wetread.identity import Permission, Role
from wetread.identity.roles import PERMISSIONS
from wetread.store import open_store as open_on_sqlite
from wetread.web import create_web
from wetread.web.access import read_needs
from wetread.web.quick import QuickRoute

Documents = dict[DocumentKind | None, int]

OURS, THEIRS = "1.2.1", "1.2.2"
#: About nobody's study: the same for everybody who may come in.
WITHOUT_STUDY = {
    "/", "/fragments/list", "/events", "/api/v1/studies", "/api/v1/openapi.json",
    "/api/v1/reading-list", "/api/v1/studies/search", "/api/v1/readings", "/api/v1/deliveries",
    "/api/v1/deliveries/retry", "/api/v1/models", "/api/v1/models/{name}", "/api/v1/rules",
    "/api/v1/models/{name}/state", "/api/v1/models/{name}/roll-back", "/api/v1/models/{name}/restore",
    # Which studies it names is asked in tests/web/test_shadow.py.
    "/models/{name}/{version}/shadow", "/api/v1/models/{name}/{version}/shadow",
    "/rules", "/rules/try",
    "/models", "/models/{name}", "/models/{name}/state", "/models/{name}/roll-back", "/models/{name}/restore",
    "/api/v1/rules/replay", "/account", "/account/password",
    "/account/totp", "/logout", "/deliveries", "/fragments/deliveries", "/deliveries/retry",
    # Which studies it names is asked below.
    "/queue", "/fragments/queue", "/api/v1/queue",
    "/fetch", "/fragments/fetch", "/fetch/retry", "/department", "/department.csv", "/department/flow.csv",
    # Somebody's own filters: tests/web/test_reading_list.py.
    "/views", "/views/{view}/forget",
    # tests/web/test_admin.py.
    "/admin", "/admin/connections", "/admin/connections/test", "/admin/accounts", "/admin/audit",
    # Whose studies these name is asked in tests/web/test_admin_retention.py.
    "/admin/tokens", "/admin/retention", "/admin/holds",
    # Searched within what is theirs, or with UIDs as parameters: tests/web/test_dicomweb.py.
    "/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances", "/wado",
    # A program's files, no images: tests/web/test_ohif_files.py.
    "/ohif/{path:path}",
}  # fmt: skip
#: Named by a number, but nobody's study.
OWN = {"/views/{view}/forget"}
#: What a form must hold before it is asked whose study it is.
FORMS = {
    "/studies/{key}/findings": {"reading": "0" * 64, "finding": "1.2", "verdict": "accepted"},
    "/studies/{key}/errors": {"reading": "0" * 64, "text": "Missed."},
    "/studies/{key}/edits": {"reading": "0" * 64, "finding": "1.2", "label": "cyst"},
    "/studies/{key}/missed": {"reading": "0" * 64, "label": "cyst", "series": "1.2", "number": 1},
    "/studies/{key}/undo": {"reading": "0" * 64, "finding": "1.2", "seen": 1},
    "/studies/{key}/priority": {"priority": "stat", "why": "Called."},
    "/queue/{key}": {"priority": "stat", "why": "Called."},
}
#: The same for the API.
BODIES = {"/api/v1/studies/{key}/priority": {"priority": "stat", "why": "Called."}}
#: What is handed in is asked one by one: tests/web/test_stow.py.
STOW = {"/dicom-web/studies", "/dicom-web/studies/{study}"}
#: Belong to who created them, not to a study: tests/web/test_workitems.py.
WORKITEMS = "/dicom-web/workitems"


def all_routes() -> list[BaseRoute]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_on_sqlite(Path(folder))
        # A router that is included stands in the list as one.
        routes = [one.original_route for one in iter_route_contexts(create_web(store, ()).routes)]
        store.close()
    return routes


ROUTES = all_routes()
API_ROUTES = [route for route in ROUTES if isinstance(route, APIRoute)]
CLOSED = [route for route in API_ROUTES if not read_needs(route.endpoint).is_public]
METHODS = [(method, route) for route in CLOSED for method in sorted(route.methods)]


def test_every_route_says_what_it_needs() -> None:
    others = [route for route in ROUTES if not isinstance(route, APIRoute | APIWebSocketRoute)]
    assert [(type(route), route.path) for route in others] == [(Mount, "/static")]
    sockets = [route for route in ROUTES if isinstance(route, APIWebSocketRoute)]
    assert all(read_needs(route.endpoint).permissions for route in sockets)
    assert [route.path for route in API_ROUTES if read_needs(route.endpoint) is None] == []
    public = {route.path for route in API_ROUTES if read_needs(route.endpoint).is_public}
    assert public == {"/health", "/login", "/login/provider", "/login/callback", "/first-run"}


@pytest.mark.parametrize("route_class", [APIRoute, QuickRoute])
def test_a_route_that_says_nothing_is_closed_to_everybody(house: House, route_class: type[APIRoute]) -> None:
    router = APIRouter(route_class=route_class)
    router.add_api_route("/forgotten", lambda *_: "secret")
    house.app.include_router(router)
    assert house.browser().get("/forgotten").status_code == 403
    house.add("anna", Role.LEAD)
    for client in (house.browser(), house.signed_in("anna"), house.program()):
        answer = client.get("/forgotten")
        assert answer.status_code == 403
        assert "secret" not in answer.text


def test_doors_are_open_until_the_first_account_and_never_again(house: House) -> None:
    client = house.browser()
    assert client.get("/").status_code == 200
    assert client.get("/login").headers["location"] == "/"
    house.add("anna")
    assert client.get("/").status_code == 303
    house.identity.people.set_active("anna", False, house.clock(), by="test")
    assert client.get("/").status_code == 303


def test_an_account_closes_the_doors_of_a_service_that_runs(house: House) -> None:
    client = house.browser()
    assert client.get("/api/v1/studies").status_code == 200
    # As `wetread users add` does, from another process.
    other = open_store(house.store.data)
    other.accounts.add("anna", "lead", house.clock())
    other.close()
    assert client.get("/api/v1/studies").status_code == 401


def test_nobody_gets_in_without_saying_who_they_are(house: House) -> None:
    house.add("anna")
    key = house.ward.send(OURS)
    token = {"Authorization": "Bearer wtr_" + "x" * 43}
    for method, route in METHODS:
        for headers in ({}, token, {"Cookie": "wetread=x"}, {"Authorization": "Basic YW5uYTph"}):
            answer = house.browser().request(method, fill(route.path, key, {}, 1), headers=headers)
            assert answer.status_code in (303, 401), route.path
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/login?next=%2F"), route.path
            else:
                assert answer.headers["www-authenticate"].startswith("Bearer"), route.path
            assert "Doe" not in answer.text, route.path


@pytest.mark.parametrize("role", Role)
def test_each_route_opens_to_the_roles_that_have_its_permissions(house: House, role: Role) -> None:
    house.add("first")
    keys = stage(house)
    program = house.program(role)
    if role is not Role.SERVICE:
        house.add("anna", role)
    person = house.signed_in("anna") if role is not Role.SERVICE else None
    for method, route in METHODS:
        if route.path == "/events":
            continue  # an endless answer: see test_live.py and test_service.py
        needed, path = read_needs(route.endpoint).permissions, fill(route.path, *keys[OURS])
        may = needed <= PERMISSIONS[role] - {Permission.PAGES}
        assert (program.request(method, path).status_code != 403) is may, (method, route.path)
        if person is not None:
            status = person.request(method, path).status_code
            assert (status != 403) is (needed <= PERMISSIONS[role]), (method, route.path)
            person = house.signed_in("anna") if route.path == "/logout" else person


def test_nobody_reaches_a_study_that_is_not_theirs(house: House) -> None:
    """Another sender's study, document or delivery is not there; one's own is, or this proves nothing."""
    house.add("anna", Role.LEAD, sources=("CT_OURS",))
    keys = stage(house)
    person, program = house.signed_in("anna"), house.program(Role.LEAD, sources=("CT_OURS",))
    house.add("boss", Role.ADMINISTRATOR, sources=("CT_OURS",))
    boss = house.signed_in("boss")
    for method, route in METHODS:
        if route.path in WITHOUT_STUDY or (method == "POST" and route.path in STOW):
            continue
        if route.path.startswith(WORKITEMS):
            continue
        needed = read_needs(route.endpoint).permissions
        clients = [boss] if Permission.ADMINISTER in needed else [person]
        for client in clients if Permission.PAGES in needed else [person, program]:
            before, form = len(house.told), FORMS.get(route.path)
            said = {"json": BODIES[route.path]} if route.path in BODIES else {"data": form}
            answer = client.request(method, fill(route.path, *keys[THEIRS]), **said)
            assert answer.status_code == 404, route.path
            assert "Asked for a study of another sender." in house.sentences()[before:], route.path
            status = client.request(method, fill(route.path, *keys[OURS]), **said).status_code
            assert status in (200, 202, 303, 409, 422), route.path
    assert house.store.studies.find(THEIRS).reported_at is None, "nothing was changed either"
    deliveries = house.store.deliveries.list_for_study(THEIRS)
    assert {one.state for one in deliveries} == {DeliveryState.REFUSED}


def test_what_is_about_no_study_names_none() -> None:
    assert {route.path for route in CLOSED} >= WITHOUT_STUDY
    numbered = {path for path in WITHOUT_STUDY if "{" in path and "/ohif/" not in path} - OWN
    assert all("/models/{name}" in path for path in numbered)


@pytest.mark.parametrize(
    "path",
    ["/", "/fragments/list", "/?show=reported", "/deliveries", "/fragments/deliveries", "/queue"],
)
def test_lists_leave_out_what_is_not_theirs(house: House, path: str) -> None:
    house.add("anna", sources=("CT_OURS",))
    keys = stage(house)
    if "reported" in path:
        for uid in (OURS, THEIRS):
            house.store.studies.mark_reported(uid, house.clock())
    for uid in (OURS, THEIRS) if path == "/queue" else ():
        row = house.store.studies.begin_again(uid, "asked for", house.clock(), lambda _: None)
        assert row is not None
    text = house.signed_in("anna").get(path).text
    assert "Ours" in text
    assert "Theirs" not in text
    assert keys[THEIRS][0] not in text


def test_a_study_page_counts_and_links_only_what_is_theirs(house: House) -> None:
    house.add("anna", sources=("CT_OURS",))
    keys = stage(house)
    text = house.signed_in("anna").get(f"/studies/{keys[OURS][0]}").text
    assert "1 of 1" in text
    assert keys[THEIRS][0] not in text


def test_the_pulse_tells_nothing_of_what_is_not_theirs(house: House) -> None:
    stage(house)
    ours, all_of_it = house.store.history.pulse(("CT_OURS",)), house.store.history.pulse()
    house.ward.send("1.2.3", source="CT_THEIRS")
    house.ward.read("1.2.3")
    assert house.store.history.pulse(("CT_OURS",)) == ours
    assert house.store.history.pulse() != all_of_it
    house.ward.note(OURS, "worklist", "Something.")
    assert house.store.history.pulse(("CT_OURS",)) != ours


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.DATA_SCIENTIST])
def test_who_needs_no_names_sees_none(house: House, role: Role) -> None:
    house.add("anna", role)
    house.ward.send(OURS, name="Quigley^Marguerite", PatientID="MRN-77431", AccessionNumber="ACC-90210",
                    PatientBirthDate="19310203", StudyDescription="CT Thorax for Quigley")  # fmt: skip
    row = house.ward.read(OURS)
    house.ward.note(OURS, "match", "Expected MRN-77431 of Marguerite, born 1931-02-03.")
    key = house.store.studies.find(OURS).key
    documents = {one.kind: one.id for one in house.store.readings.list_documents(row.id)}
    dead = house.ward.plan(OURS, row)[0]
    refusal = "No patient MRN-77431 Quigley."
    house.store.deliveries.record(dead, DeliveryState.REFUSED, house.clock(), "not-acknowledged", refusal)
    house.ward.send("1.2.7", name="Quigley^Marguerite", PatientID="MRN-77431", StudyDate="19310203",
                    StudyDescription="CT Thorax for Quigley")  # fmt: skip
    house.ward.begin("1.2.7")
    paths = ["/", f"/studies/{key}", "/fragments/list", "/deliveries", "/fragments/deliveries",
             "/queue", "/fragments/queue", "/api/v1/queue",
             f"/fragments/studies/{key}", "/api/v1/studies",
             "/api/v1/reading-list", "/api/v1/readings", f"/api/v1/readings/{row.id}", "/api/v1/deliveries",
             f"/api/v1/studies/{key}", f"/api/v1/studies/{key}/explanation",
             f"/api/v1/readings/{row.id}/documents/{documents[DocumentKind.TEXT]}",
             f"/documents/{documents[DocumentKind.TEXT]}/text"]  # fmt: skip
    hidden = (
        "quigley",
        "marguerite",
        "mrn-77431",
        "acc-90210",
        "19310203",
        "1931-02-03",
        "2026-11-23<",
        OURS + '"',
    )
    for client in (house.signed_in("anna"), house.program(role)):
        for path in paths:
            text = client.get(path).text.lower()
            assert [word for word in hidden if word in text] == [], path
        assert client.get(f"/documents/{documents[DocumentKind.PDF]}/pdf").status_code == 403
    page = house.signed_in("anna").get(f"/studies/{key}").text
    assert f"Study {key[:8]}" in page
    assert "over 89 y" in page
    assert "/pdf" not in page
    assert "Mark as reported" not in page


def test_who_needs_names_sees_them(house: House) -> None:
    house.add("anna")
    key = house.ward.send(OURS, name="Quigley^Marguerite")
    assert "Quigley" in house.signed_in("anna").get(f"/studies/{key}").text
    assert "Quigley" in house.program().get(f"/api/v1/studies/{key}").text


def test_a_refusal_is_in_the_trail(house: House) -> None:
    house.add("anna")
    keys = stage(house)
    house.signed_in("anna").post(fill("/deliveries/{delivery_id}/retry", *keys[OURS]))
    event = house.told[-1]
    assert (event.type, event.subtype, event.actors[0].user_id) == ("110113", "110132", "anna")
    assert "May not send a refused document again" in event.description
    assert keys[OURS][0] not in event.description


def stage(house: House) -> dict[str, tuple[str, Documents, int]]:
    """Send one study from each sender; return of each its key, a document and a delivery."""
    staged = {}
    for uid, source, name in ((OURS, "CT_OURS", "Ours^One"), (THEIRS, "CT_THEIRS", "Theirs^One")):
        # It says that it is an image: its frames and slices can be asked for.
        key = house.ward.send(uid, name=name, source=source, **_PLACED)
        row = house.ward.read(uid, **_compared(uid, f"{uid}.1.{house.ward.count}"))
        documents = {one.kind: one.id for one in house.store.readings.list_documents(row.id)}
        [delivery, *_] = house.ward.plan(uid, row)
        raise_alert(house.ward, uid)
        for one in house.store.deliveries.list_for_study(uid):
            house.store.deliveries.record(one.id, DeliveryState.REFUSED, house.clock())
        staged[uid] = (key, documents, delivery)
    return staged


#: Where the image lies, whose file is none.
_PLACED = {
    "Rows": 5,
    "Columns": 6,
    "ImagePositionPatient": (-10.0, -20.0, 30.0),
    "ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "PixelSpacing": (0.7, 0.7),
}


def _compared(uid: str, image: str) -> dict[str, object]:
    """Changes of a Reading that make it one that compares."""
    grid = make_reading().grid
    assert grid is not None
    images = PriorImages(
        series_instance_uid="1.2.9.1", sop_class_uid="1.2", frame_of_reference_uid="", sop_instance_uids=()
    )
    comparison = Comparison(study_instance_uid="1.2.9", lung_overlap=1.0, vessel_likeness=1.0, images=images)
    uids = ("1.1", image, "1.3", "1.4")
    return {
        "series_instance_uid": f"{uid}.1",
        "grid": replace(grid, sop_instance_uids=uids),
        "comparison": comparison,
    }


def fill(path: str, key: str, documents: Documents, delivery: int) -> str:
    """Put a study's key, the document that the route shows, and a delivery into a route's path."""
    kinds = {
        "{document_id}": DocumentKind.PNG,
        "image": DocumentKind.PNG,
        "text": DocumentKind.TEXT,
        "pdf": DocumentKind.PDF,
    }
    document = documents.get(kinds.get(path.rsplit("/", 1)[-1]), 1)
    study = next((uid for uid in (OURS, THEIRS) if study_key(uid) == key), OURS)
    filled = path.replace(":path}", "}").format(
        key=key,
        document_id=document,
        reading_id=1 if study == OURS else 2,
        name="chest-ct",
        version="1.0.0",
        delivery_id=delivery,
        study=study,
        series=f"{study}.1",
        instance=f"{study}.1.{1 if study == OURS else 2}",
        frames=1,
        frame=1,
        place="7FE00010",
        stack=study_key(f"{study}.1/{study}.1.{1 if study == OURS else 2}:1"),
        number=1 if "/stacks/" in path else 0,
        path="index.html",
        uid="1.2.3",
        aet="WATCH",
        visit="now",
        deed="read-again",
        view=1,
        alert_id=1 if study == OURS else 2,
    )
    assert not re.search(r"[{}]", filled)
    return filled


def test_a_token_in_the_address_is_none(house: House) -> None:
    house.add("anna")
    token = house.program().headers["Authorization"].split()[1]
    client = TestClient(house.app, base_url=ORIGIN, follow_redirects=False)
    for name in ("access_token", "token", "authorization", "auth"):
        assert client.get(f"/api/v1/studies?{name}={token}").status_code == 401
    assert client.get("/api/v1/studies", cookies={"wetread": token}).status_code == 401
    assert client.get("/api/v1/studies", headers={"Authorization": f"Basic {token}"}).status_code == 401
    assert client.get("/api/v1/studies", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_wrong_token_beside_a_right_cookie_is_nobody(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    assert client.get("/api/v1/studies").status_code == 200
    assert client.get("/api/v1/studies", headers={"Authorization": "Bearer wtr_x"}).status_code == 401


def test_tokens_end(house: House) -> None:
    house.add("anna")
    client = house.program(expires_at=house.clock() + timedelta(hours=1))
    other = house.program()
    assert client.get("/api/v1/studies").status_code == 200
    house.clock.pass_by(3600)
    assert client.get("/api/v1/studies").status_code == 401
    assert other.get("/api/v1/studies").status_code == 200
    assert house.identity.tokens.revoke("program-1", house.clock(), by="test")
    assert other.get("/api/v1/studies").status_code == 401
    assert not house.identity.tokens.revoke("program-1", house.clock(), by="test")
    assert "A token was refused. It has expired." in house.sentences()
    assert "A token was refused. It was revoked." in house.sentences()


def test_guessing_tokens_does_not_flood_the_trail(house: House) -> None:
    house.add("anna")
    client, before = house.browser(), len(house.told)
    for number in range(50):
        client.get("/api/v1/studies", headers={"Authorization": f"Bearer wtr_{number}"})
    house.clock.pass_by(60)
    client.get("/api/v1/studies", headers={"Authorization": "Bearer wtr_x"})
    assert house.sentences()[before:] == ["A token was refused. It is unknown."] * 2


def test_the_use_of_a_token_is_told_once_an_hour(house: House) -> None:
    house.add("anna")
    client = house.program()
    for _ in range(3):
        client.get("/api/v1/studies")
    house.clock.pass_by(3600)
    client.get("/api/v1/studies")
    assert house.sentences().count("Signed in by token.") == 2


@pytest.mark.sqlite
def test_the_index_holds_no_secret(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    token = house.program().headers["Authorization"].split()[1]
    cookie = client.cookies["wetread"]
    assert len(token) >= 4 + 43
    held = b"".join(path.read_bytes() for path in house.store.data.glob("index.sqlite*"))
    assert b"anna" in held
    for secret in (token, cookie, "three blue anvils sing"):
        assert secret.encode() not in held
