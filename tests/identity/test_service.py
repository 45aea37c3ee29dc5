"""The commands and the real service: what is refused at the start, and what holds at once while it runs."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.identity.conftest import OTHER_PASSWORD, PASSWORD
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.stores import open_store, store_table
from wetread.app import check_users
from wetread.cli import app
from wetread.config import Config, DicomSettings, WebSettings, check_config
from wetread.errors import ConfigError, UnsafeBinding, WetreadError
from wetread.identity import make_identity
from wetread.identity.settings import OidcRole, OidcSettings
from wetread.store.audit_rows import AuditRows

WETREAD = str(Path(sys.executable).parent / "wetread")


def wetread(data: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as `main` does, without the price of a new process."""
    config = data.with_name("commands.toml")
    config.write_text(f'data = "{data}"\n{store_table(data)}')
    outcome = CliRunner().invoke(app, [*words, "--config", str(config)], input=typed)
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit | WetreadError), (
        outcome.exception
    )
    told = f"{getattr(outcome.exception, 'code', '')}: {outcome.exception}"
    return subprocess.CompletedProcess(words, outcome.exit_code, outcome.stdout, told)


def add_user(data: Path, name: str, role: str, *more: str) -> subprocess.CompletedProcess[str]:
    return wetread(
        data, "users", "add", name, "--role", role, "--password-stdin", *more, typed=PASSWORD + "\n"
    )


@pytest.fixture
def service(tmp_path: Path):
    one = Service(tmp_path, free_port(), free_port(), "")
    one.start()
    yield one
    one.stop()


def test_what_a_command_changes_holds_at_once_while_the_service_runs(service: Service) -> None:
    url, data = f"http://127.0.0.1:{service.http_port}", service.data
    browser = httpx.Client(base_url=url, headers={"Origin": url})
    assert browser.get("/").status_code == 200, "open: nobody is there yet"
    assert add_user(data, "anna", "radiologist").returncode == 0
    assert browser.get("/").status_code == 303
    assert browser.post("/login", data={"name": "anna", "password": PASSWORD}).status_code == 303
    assert browser.get("/").status_code == 200

    ended = threading.Event()

    def listen() -> None:
        with browser.stream("GET", "/events", timeout=30) as stream:
            for _ in stream.iter_lines():
                pass
        ended.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    token = wetread(data, "tokens", "add", "viewer", "--expires-days", "1").stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{url}/api/v1/studies", headers=bearer).status_code == 200
    assert wetread(data, "tokens", "revoke", "viewer").returncode == 0
    assert httpx.get(f"{url}/api/v1/studies", headers=bearer).status_code == 401

    assert wetread(data, "users", "disable", "anna").returncode == 0
    assert browser.get("/").status_code == 303
    assert ended.wait(20), "an open stream outlived its session"
    assert token not in service.log
    assert PASSWORD not in service.log


def test_the_commands_tell_and_refuse(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert add_user(data, "Anna", "administrator", "--display-name", "Anna Berg").returncode == 0
    again = add_user(data, "anna", "lead")
    assert (again.returncode, "already" in again.stderr) == (1, True)
    weak = wetread(data, "users", "add", "b", "--role", "lead", "--password-stdin", typed="password1234\n")
    assert (weak.returncode, "weak-password" in weak.stderr) == (1, True)
    no_terminal = wetread(data, "users", "add", "b", "--role", "lead")
    assert "--password-stdin" in no_terminal.stderr
    wrong_role = add_user(data, "b", "king")
    assert "known are" in wrong_role.stderr
    assert wetread(data, "users", "unlock", "nobody").returncode == 1
    assert (
        wetread(data, "users", "reset-password", "anna", "--password-stdin", typed=OTHER_PASSWORD).returncode
        == 0
    )
    assert wetread(data, "users", "require-totp", "anna").returncode == 0
    [anna] = json.loads(wetread(data, "users", "list", "--json").stdout)
    assert anna["name"] == "anna"
    assert (anna["role"], anna["must_change_password"], anna["must_use_totp"]) == (
        "administrator",
        True,
        True,
    )
    assert wetread(data, "tokens", "revoke", "none").returncode == 1
    token = wetread(data, "tokens", "add", "viewer", "--source", "CT1").stdout.strip()
    listed = wetread(data, "tokens", "list", "--json").stdout
    assert token.startswith("wtr_")
    assert token not in listed
    [row] = json.loads(listed)
    assert (row["state"], row["sources"], row["role"]) == ("in use", ["CT1"], "service")
    store = open_store(data)
    trail = [entry.message for entry in AuditRows(store.engine).list_last(100)]
    store.close()
    assert any("Account anna added, role administrator." in message for message in trail)
    assert any("Token viewer made, role service." in message for message in trail)
    for secret in (PASSWORD, OTHER_PASSWORD, token):
        assert not [message for message in trail if secret in message]


def exposed(**more: object) -> Config:
    web = {"behind_proxy": True, "allowed_hosts": ("wetread.example",), **more}
    return Config(web=WebSettings(**web))


def test_no_page_leaves_this_machine_as_clear_text() -> None:
    hosts = [WebSettings(host=host) for host in ("0.0.0.0", "10.0.0.1", "::")]  # noqa: S104 - refused
    for web in (*hosts, WebSettings(allowed_hosts=("wetread.example",))):
        with pytest.raises(UnsafeBinding, match="HTTPS"):
            check_config(Config(web=web))
    with pytest.raises(ConfigError, match="allowed_hosts"):
        check_config(exposed(allowed_hosts=()))
    with pytest.raises(ConfigError, match="trusted_proxies"):
        check_config(exposed(trusted_proxies=("proxy.example",)))
    check_config(exposed())
    check_config(Config(web=WebSettings(allowed_hosts=("localhost",))))


def test_no_page_leaves_this_machine_before_somebody_may_sign_in(tmp_path: Path) -> None:
    path = tmp_path / "wetread.toml"
    port, dicom = free_port(), free_port()
    path.write_text(
        f'data = "data"\n[dicom]\nport = {dicom}\n[web]\nport = {port}\nbehind_proxy = true\n'
        f'allowed_hosts = ["wetread.example"]\n{store_table(tmp_path / "data")}'
    )
    # There are accounts, but nobody who could let others in.
    assert add_user(tmp_path / "data", "rad", "radiologist").returncode == 0
    refused = subprocess.run(
        [WETREAD, "serve", "--config", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 1
    assert "users add NAME --role administrator" in " ".join(refused.stderr.split())
    assert add_user(tmp_path / "data", "root", "administrator").returncode == 0
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([WETREAD, "serve", "--config", str(path)], stdout=log, stderr=log)
    try:
        ask_as_a_proxy(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)


def test_a_service_without_accounts_is_closed_until_its_code_is_used(tmp_path: Path) -> None:
    path = tmp_path / "wetread.toml"
    port, dicom = free_port(), free_port()
    path.write_text(
        f'data = "data"\n[dicom]\nport = {dicom}\n[web]\nport = {port}\nbehind_proxy = true\n'
        f'allowed_hosts = ["wetread.example"]\n{store_table(tmp_path / "data")}'
    )
    told = tmp_path / "log"
    with told.open("wb") as log:
        process = subprocess.Popen([WETREAD, "serve", "--config", str(path)], stdout=log, stderr=log)
    try:
        await_true(lambda: "with the code" in told.read_text(), 60, "the code")
        code = told.read_text().partition("with the code")[2].split()[0]
        seen = {"Host": "wetread.example", "X-Forwarded-Proto": "https", "Origin": "https://wetread.example"}
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/", headers=seen).status_code == 303
        assert httpx.get(f"{url}/api/v1/studies", headers=seen).status_code == 401
        form = {"code": code, "name": "root", "password": PASSWORD, "again": PASSWORD}
        wrong = httpx.post(f"{url}/first-run", data=form | {"code": "A" * 20}, headers=seen)
        assert wrong.status_code == 401
        assert httpx.post(f"{url}/first-run", data=form, headers=seen).status_code == 303
        assert httpx.get(f"{url}/first-run", headers=seen).status_code == 404
    finally:
        process.terminate()
        process.wait(60)


def ask_as_a_proxy(url: str) -> None:
    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.TransportError:
            return False

    await_true(is_up, 60, "the service")
    seen = {"Host": "wetread.example", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert httpx.get(f"{url}/login", headers=seen | {"Host": "other.example"}).status_code == 403
    clear = httpx.get(f"{url}/login", headers={"Host": "wetread.example"})
    assert (clear.status_code, "https" in clear.text) == (403, True)
    answer = httpx.post(
        f"{url}/login",
        data={"name": "rad", "password": PASSWORD},
        headers=seen | {"Origin": "https://wetread.example"},
    )
    assert answer.status_code == 303
    assert answer.headers["set-cookie"].startswith("__Host-wetread=")
    assert "strict-transport-security" in answer.headers
    assert "server" not in answer.headers


def test_a_provider_is_enough_to_be_exposed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WETREAD_OIDC_SECRET", "of a test")
    oidc = OidcSettings(
        issuer="https://login.example", client_id="w", roles=(OidcRole(group="a", role="lead"),)
    )
    store = open_store(tmp_path / "data")

    def now() -> datetime:
        return datetime.now(UTC)

    images = Config(dicom=DicomSettings(host="10.0.0.1", allowed_aets=("CT1",)))
    # Nobody yet: all doors are closed, but for whoever has the code of the first run.
    check_users(exposed(), make_identity(store, now))
    store.accounts.add("anna", "radiologist", now())
    for config in (exposed(), images):
        with pytest.raises(UnsafeBinding):
            check_users(config, make_identity(store, now))
        check_config(config)
        with pytest.raises(UnsafeBinding, match="signed"):
            check_config(replace(config, models=(tmp_path,)))
    check_users(exposed(), make_identity(store, now, oidc=oidc))
    check_users(Config(), make_identity(store, now))
    store.close()
