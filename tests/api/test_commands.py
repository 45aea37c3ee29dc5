"""Commands say the same whether they ask a service or look into its data folder."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from tests.api.conftest import Place, fill
from tests.api.ct import send_ct
from tests.ports import free_port
from wetread.cli import app
from wetread.client import Client
from wetread.domain.study import study_key
from wetread.errors import AccessError, ConfigError, NotHeld, NotNow, PeerError, PeerUnreachable, UnknownModel
from wetread.store import Store

pytestmark = pytest.mark.sqlite

HEADS = '[[rules]]\nname = "heads"\nmodels = ["chest-ct"]\nbody_part = "HEAD"\nurgency = "stat"\n'


@pytest.fixture(scope="module")
def url(filled: Place) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(filled.app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    pause = threading.Event()
    while not server.started:
        assert thread.is_alive()
        pause.wait(0.02)
    yield f"http://127.0.0.1:{port}"
    filled.app.state.pulse.stop()
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def token(filled: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "token"
    path.touch(0o600)
    path.write_text(filled.client.headers["Authorization"].split()[1] + "\n")
    return path


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WETREAD_URL", "WETREAD_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["studies", "list", "--json"],
        ["studies", "list", "--limit", "2"],
        ["studies", "list", "--state", "read", "--modality", "CT", "--since", "2026-11-22"],
        ["studies", "list", "--patient", "PID3", "--json"],
        ["studies", "list", "--accession", "A4", "--waiting"],
        ["studies", "show", "1.2.3", "--json"],
        ["studies", "show", "A4"],
        ["studies", "show", study_key("1.2.3")],
        ["explain", "1.2.3"],
        ["explain", "A1"],
        ["deliveries", "list"],
        ["deliveries", "list", "--state", "refused", "--json"],
        ["deliveries", "list", "--destination", "PACS", "--study", "1.2.3"],
    ],
    ids=" ".join,
)
def test_a_service_and_its_folder_say_the_same(
    filled: Place, url: str, token: Path, words: list[str]
) -> None:
    here = run(*words, "--data", filled.ward.store.data)
    there = run(*words, "--url", url, "--token-file", token)
    if "--json" in words and "show" in words:
        # What a folder's commands know of models is this installation's, not the service's.
        here, there = (json.dumps({**json.loads(one), "decisions": ""}) for one in (here, there))
    assert here == there
    assert here.strip()


def test_models_and_rules_are_the_services_own(url: str, token: Path) -> None:
    there = json.loads(run("models", "list", "--json", "--url", url, "--token-file", token))
    assert [(one["name"], one["version"]) for one in there] == [("chest-ct", "1.0.0")]
    assert (
        json.loads(run("models", "show", "chest-ct", "--url", url, "--token-file", token))["model"]
        == there[0]
    )
    [here] = [one for one in json.loads(run("models", "list", "--json")) if one["name"] == "chest-ct"]
    assert here["digest"] != there[0]["digest"]
    assert json.loads(run("models", "show", "chest-ct"))["model"] == here
    assert run("rules", "list", "--url", url, "--token-file", token) == run("rules", "list")


def test_the_environment_names_a_service_unless_a_folder_is_named(
    filled: Place, url: str, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WETREAD_URL", url)
    monkeypatch.setenv("WETREAD_TOKEN", token.read_text())
    assert study_key("1.2.3") in run("studies", "list")
    monkeypatch.setenv("WETREAD_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PeerUnreachable):
        run("studies", "list")
    assert study_key("1.2.3") in run("studies", "list", "--data", filled.ward.store.data)


def test_what_would_give_a_token_away_is_refused(url: str, token: Path, tmp_path: Path) -> None:
    open_file = tmp_path / "token"
    open_file.write_text("wtr_x")
    open_file.chmod(0o644)
    for words in (
        ["--url", url, "--token-file", open_file],
        ["--url", "http://reader.example", "--token-file", token],
        ["--url", "ftp://127.0.0.1", "--token-file", token],
        ["--url", url, "--data", tmp_path],
        ["--token-file", token],
    ):
        with pytest.raises(ConfigError):
            run("studies", "list", *words)
    assert "wtr_x" not in repr(Client("https://reader.example", "wtr_x"))


def test_refusals_of_a_service_are_said(filled: Place, url: str, token: Path) -> None:
    with pytest.raises(AccessError, match="Say who you are"):
        run("studies", "list", "--url", url)
    with pytest.raises(NotHeld):
        run("studies", "show", "9.9.9", "--url", url, "--token-file", token)
    with pytest.raises(AccessError, match="Only what was refused or failed"):
        run("deliveries", "retry", "4", "--url", url, "--token-file", token)
    with pytest.raises(AccessError, match="state"):
        run("studies", "list", "--state", "gone", "--url", url, "--token-file", token)
    with pytest.raises(ConfigError, match="state"):
        run("studies", "list", "--state", "gone", "--data", filled.ward.store.data)
    with pytest.raises(PeerError):
        Client(f"{url}/static").list_models()


def test_the_folder_tries_again(place: Place) -> None:
    fill(place)
    data = place.ward.store.data
    assert run("deliveries", "retry", "--all", "--data", data) == "2 to be tried again.\n"
    assert run("studies", "read-again", "1.2.3", "--data", data) == "Revision 2 begun.\n"


def test_a_service_tries_again_by_number_and_by_name(filled: Place, url: str, token: Path) -> None:
    there = ("--url", url, "--token-file", token)
    [refused] = json.loads(run("deliveries", "list", "--state", "refused", "--json", *there))
    assert run("deliveries", "retry", refused["id"], *there) == "1 to be tried again.\n"
    assert run("deliveries", "retry", "--all", *there) == "1 to be tried again.\n"
    assert run("deliveries", "list", "--state", "refused", *there) == ""
    assert run("studies", "read-again", "A4", *there) == "Revision 2 begun.\n"


@pytest.fixture
def archive(place: Place, tmp_path: Path) -> Store:
    for number, part in enumerate(("CHEST", "HEAD", "HEAD"), start=1):
        send_ct(place.ward.store, tmp_path / "ct", f"1.2.{number}", BodyPartExamined=part)
    return place.ward.store


def test_changed_rules_are_tried_by_command(archive: Store, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(HEADS)
    told = run("rules", "replay", rules, "--data", archive.data, "--json")
    *studies, last = (json.loads(line) for line in told.splitlines())
    assert last["summary"] == {
        "newly_read": 0, "no_longer_read": 0, "other_model": 0, "other_urgency": 2, "unchanged": 1,
        "unknown_models": [],
    }  # fmt: skip
    assert {one["study_key"] for one in studies} == {study_key("1.2.2"), study_key("1.2.3")}
    whole = run("rules", "replay", rules, "--data", archive.data, "--all")
    assert "2 other urgency, 1 unchanged" in whole
    assert f"{study_key('1.2.1')}  2026-11-23  CT  unchanged" in whole
    assert run("rules", "replay", rules, "--data", archive.data, "--since", "2026-11-24").startswith("0 ")
    with pytest.raises(ConfigError):
        run("rules", "replay", rules, "--data", archive.data, "--since", "yesterday")


def test_changed_rules_are_tried_by_a_service(url: str, token: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(HEADS + '\n[[rules]]\nmodels = ["elsewhere"]\nmodality = "CT"\n')
    told = run("rules", "replay", rules, "--url", url, "--token-file", token)
    assert "5 unchanged" in told, "without geometry none of them can be read"
    assert "No model elsewhere is registered" in told


def test_a_file_of_rules_is_checked(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(HEADS)
    assert run("rules", "check", rules) == "1 rules, all models are registered.\n"
    rules.write_text(HEADS.replace("chest-ct", "chest"))
    with pytest.raises(UnknownModel):
        run("rules", "check", rules)
    rules.write_text(HEADS.replace("body_part", "body_parts"))
    with pytest.raises(ConfigError, match="did you mean 'body_part'"):
        run("rules", "check", rules)
    for text in ("", "rules = 1", "[[rules]", "[study]\nquiet_s = 2\n"):
        rules.write_text(text)
        with pytest.raises(ConfigError):
            run("rules", "check", rules)


def test_the_queue_by_command(place: Place) -> None:
    fill(place)
    data = ("--data", place.ward.store.data)
    told = json.loads(run("queue", "--json", *data))
    stuck = [one["study_key"] for one in told["stuck"]]
    assert sorted(stuck) == sorted(study_key(f"1.2.{number}") for number in (1, 2, 5))
    assert stuck[-1] == study_key("1.2.2"), "the longest first"
    assert "no process has taken it up" in run("queue", *data).lower()
    assert (
        run("studies", "priority", "1.2.2", "stat", "--why", "Called by the ward.", *data) == "It is stat.\n"
    )
    assert [one["urgency"] for one in json.loads(run("queue", "--json", *data))["stuck"]][2] == "stat"
    assert run("studies", "call-off", "1.2.2", *data) == "It is not read.\n"
    [failed] = json.loads(run("queue", "--json", *data))["failed"]
    assert failed["code"] == "reading-called-off"
    for wrong in (["call-off", "1.2.2"], ["priority", "1.2.2", "stat"], ["priority", "1.2.2", "soon"]):
        with pytest.raises((NotNow, ConfigError)):
            run("studies", *wrong, *data)


def test_the_queue_of_a_service_by_command(filled: Place, url: str, token: Path) -> None:
    there = ("--url", url, "--token-file", token)
    assert f"waiting 1  {study_key('1.2.2')}" in run("queue", *there)
    assert run("studies", "priority", "1.2.2", "urgent", "--why", "Called.", *there) == "It is urgent.\n"
    assert run("studies", "priority", "1.2.2", "models", *there).startswith("It has the priority of models")
    assert run("studies", "call-off", "1.2.2", *there) == "It is not read.\n"
    assert "reading-called-off" in run("queue", *there)
    with pytest.raises(AccessError, match="nothing was called off"):
        run("studies", "call-off", "1.2.2", *there)
