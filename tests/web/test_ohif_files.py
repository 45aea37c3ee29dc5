"""The viewer is set up whole or not at all, and served with its own policy on its own addresses only."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.stores import open_store
from tests.web.conftest import ORIGIN
from tests.web.ohif import SMALL, write_small
from wetread.cli import app
from wetread.errors import ConfigError
from wetread.web import create_web
from wetread.web.ohif import prepare
from wetread.web.ohif.prepare import VERSION, install


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    one = write_small(tmp_path / "package.tgz")
    monkeypatch.setattr(prepare, "SHA256", hashlib.sha256(one.read_bytes()).hexdigest())
    return one


def test_every_address_is_moved_and_nothing_of_elsewhere_is_kept(package: Path, tmp_path: Path) -> None:
    folder = install(package, tmp_path / "viewer")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    plain = {name for name in names if not name.endswith(".gz")}
    left_out = {"sw.js", "google.js", "app-config.js", "ort/ort.wasm", "a.js.map", "_headers"}
    assert plain == set(SMALL) - left_out
    html = (folder / "index.html").read_text()
    assert ('="/x' in html, html.count('="/ohif/x'), html.count('PUBLIC_URL="/ohif/"')) == (False, 33, 2)
    assert (folder / "app.bundle.css").read_text().count("url(/ohif/a.woff2)") == 5
    script = (folder / "app.bundle.0f6159c501addfe9.js").read_text()
    assert '__webpack_require__.p = "/ohif/"' in script
    assert "'/ohif/dicom-microscopy-viewer/" in script
    assert gzip.decompress((folder / "index.html.gz").read_bytes()).decode() == html
    assert list((tmp_path / "viewer").iterdir()) == [folder], "nothing half stays"


def test_what_is_not_the_package_that_was_tried_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="npm pack @ohif/app"):
        install(write_small(tmp_path / "package.tgz"), tmp_path / "viewer")
    assert not (tmp_path / "viewer").exists()


@pytest.mark.parametrize("name", ["app__bundle__css", "index__html", "manifest__json"])
def test_one_address_more_or_less_is_refused_and_what_was_there_stays(
    name: str, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = install(package, tmp_path / "viewer")
    kept = sorted(before.rglob("*"))
    changed = write_small(tmp_path / "changed.tgz", **{name: SMALL[name.replace("__", ".")][:-30]})
    monkeypatch.setattr(prepare, "SHA256", hashlib.sha256(changed.read_bytes()).hexdigest())
    with pytest.raises(ConfigError, match="not laid out"):
        install(changed, tmp_path / "viewer")
    assert sorted((tmp_path / "viewer").iterdir()) == [before]
    assert sorted(before.rglob("*")) == kept


def test_the_command_sets_it_up_again_and_says_where(package: Path, tmp_path: Path) -> None:
    for _ in range(2):
        result = CliRunner().invoke(app, ["viewer", "install", str(package), "--data", str(tmp_path)])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "viewer" / VERSION / "index.html").is_file()


@pytest.fixture
def client(package: Path, tmp_path: Path) -> Iterator[TestClient]:
    store = open_store(tmp_path / "data")
    yield TestClient(create_web(store, ()), base_url=ORIGIN, follow_redirects=False)
    store.close()


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("app.bundle.0f6159c501addfe9.js", "text/javascript"), ("0ddf166f7a343eda.wasm", "application/wasm"),
        ("app.bundle.css", "text/css"), ("index.html", "text/html"), ("assets/favicon.ico", "image/x-icon"),
        ("", "text/html"), ("viewer", "text/html"), ("segmentation", "text/html"),
        ("app-config.js", "text/javascript"),
    ],
)  # fmt: skip
def test_files_are_what_they_are(
    client: TestClient, package: Path, tmp_path: Path, path: str, media_type: str
) -> None:
    assert client.get(f"/ohif/{path}").status_code == 404, "none is set up"
    install(package, tmp_path / "data" / "viewer")
    answer = client.get(f"/ohif/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == media_type
    is_lasting = path.endswith((".js", ".wasm")) and path != "app-config.js"
    assert ("immutable" in answer.headers["cache-control"]) is is_lasting
    again = client.get(f"/ohif/{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    if path == "app-config.js":
        assert "https:" not in answer.text
        assert "/dicom-web" in answer.text


def test_they_are_sent_packed_to_who_takes_that(client: TestClient, package: Path, tmp_path: Path) -> None:
    install(package, tmp_path / "data" / "viewer")
    path = "/ohif/app.bundle.0f6159c501addfe9.js"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 10
    assert packed.text == plain.text
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "nothing.wasm", "../index.html", "%2e%2e/%2e%2e/index.sqlite", "..%2f..%2findex.sqlite",
     "app.bundle.css.gz", "%2fetc%2fpasswd.json", "assets", "sw.js", "x\\..\\index.html", "a%00.js"],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, package: Path, tmp_path: Path, path: str) -> None:
    install(package, tmp_path / "data" / "viewer")
    answer = client.get(f"/ohif/{path}")
    # Its own addresses have no ending: its page answers, never a file beyond it.
    assert answer.status_code == 404 or answer.text == client.get("/ohif/").text


def test_the_loose_policy_is_for_the_viewer_alone(client: TestClient, package: Path, tmp_path: Path) -> None:
    install(package, tmp_path / "data" / "viewer")
    headers = client.get("/ohif/viewer").headers
    policy = headers["content-security-policy"]
    assert "'unsafe-eval'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy, "nothing from elsewhere"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    for path in ("/", "/static/viewer.js", "/dicom-web/studies", "/ohif", "/ohifx/viewer", "/login"):
        strict = client.get(path).headers
        assert "unsafe" not in strict["content-security-policy"], path
        assert "frame-ancestors 'none'" in strict["content-security-policy"]
        assert strict["x-frame-options"] == "DENY"
