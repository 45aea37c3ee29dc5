"""Foreign names, foreign forms and foreign scripts stay out."""

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from tests.web.conftest import ORIGIN, Ward
from wetread.web import create_web
from wetread.web.guard import LOOPBACK_HOSTS, check_request

PATHS = ("/", "/static/wetread.css", "/static/wetread.js", "/nothing", "/api/v1/studies", "/health")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.", "10.0.0.1:80"]
)
def test_foreign_host_names_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "reader.example"]
)
def test_our_host_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999"])
def test_a_form_of_another_site_changes_nothing(ward: Ward, client: TestClient, origin: str | None) -> None:
    key = ward.send("1.2.1")
    headers = {"Origin": origin} if origin else {}
    assert client.post(f"/studies/{key}/report", headers=headers).status_code == 403
    assert len(ward.store.studies.list_waiting()) == 1


def test_no_change_by_get(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    assert client.get(f"/studies/{key}/report").status_code == 405


def test_an_origin_needs_a_host() -> None:
    assert check_request("POST", Headers({"origin": "http://"}), LOOPBACK_HOSTS)


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/studies/0000000000000000", "/studies/../etc", "/studies/XYZ", "/documents/1/image",
     "/documents/x/pdf", "/static/../application.py", "/?show=all", "/docs",
     "/fragments/studies/0000000000000000"],
)  # fmt: skip
def test_what_is_not_there_is_a_plain_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Back to the reading list" in answer.text


def test_programs_get_json_errors(client: TestClient) -> None:
    answer = client.get("/api/v1/studies/0000000000000000")
    assert (answer.status_code, answer.json()) == (
        404,
        {"code": "not-found", "message": "There is no such thing here.", "details": []},
    )
    answer = client.get("/dicom-web/studies/1.2.3")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_a_bug_shows_no_inside(ward: Ward) -> None:
    def fail():
        raise RuntimeError("secret inside")

    app = create_web(ward.store, (), now=fail)
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client:
        answer = client.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "default-src" in answer.headers.get("content-security-policy", "")


def test_without_a_hook_no_retry_is_offered(ward: Ward) -> None:
    key = ward.send("1.2.1")
    ward.plan("1.2.1", ward.read("1.2.1"))
    with TestClient(create_web(ward.store, ()), base_url=ORIGIN) as client:
        assert "retry" not in client.get(f"/studies/{key}").text
        assert client.post("/deliveries/1/retry", headers={"Origin": ORIGIN}).status_code == 404
