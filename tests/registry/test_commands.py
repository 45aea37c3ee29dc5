"""The commands of docs/how-to/promote-a-model.md, in their order, on a real data folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.lab.test_validate import images
from tests.promoted import make_live
from tests.registry.versions import BEGIN, validate, write_version
from wetread.cli import app
from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model
from wetread.errors import ConfigError, StateRefused, UnknownModel
from wetread.store import Store, open_store

PAGE = Path(__file__).parents[2] / "docs/how-to/promote-a-model.md"
CONFIG = ("--config", "wetread.toml")


def commands() -> list[list[str]]:
    lines = [line.strip() for line in PAGE.read_text().splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("wetread ")]


def run(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, Model, Model]]:
    monkeypatch.chdir(tmp_path)
    for name in ("WETREAD_URL", "WETREAD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "models").mkdir()
    old, new = (write_version(tmp_path / f"models/my-model-{v}", v) for v in ("1.0.0", "1.1.0"))
    folders = "models = " + PAGE.read_text().partition("models = ")[2].partition("\n")[0]
    (tmp_path / "wetread.toml").write_text(f'data = "data"\n{folders}\n')
    images(tmp_path / "test.npz")
    validate(tmp_path / "models/my-model-1.0.0", tmp_path / "report-1.0.0")
    store = open_store(tmp_path / "data")
    make_live(store, old)
    yield store, old, new
    store.close()


def versions() -> dict[str, str]:
    lines = json.loads(run("models", "list", "--json", *CONFIG))
    return {one["version"]: one["state"] for one in lines if one["name"] == "my-model"}


def test_the_page_can_be_followed_from_top_to_bottom(place) -> None:
    store, old, new = place
    before = {
        "rollback": {"1.0.0": "validated", "1.1.0": "live"},
        "retire": {"1.0.0": "live", "1.1.0": "validated"},
        "restore": {"1.0.0": "live", "1.1.0": "retired"},
    }
    seen = []
    for words in commands():
        if words[:2] == ["models", "restore"]:
            with store.engine.begin() as connection:
                store.model_states.note_failure_in(
                    connection, old.identity, ModelState.LIVE, ("0" * 16, "model-crashed"), BEGIN, 1
                )
            assert "out of service" in run("models", "list", *CONFIG)
        if words[1] in before:
            assert versions() == before[words[1]], words
        run(*words)
        seen.append(words[1])
    assert seen == [
        *("validate", "promote", "promote", "promote", "list", "show", "shadow", "shadow"),
        *("rollback", "retire", "restore"),
        *["operating-point"] * 5,
    ]
    shown = json.loads(run("models", "show", "my-model", *CONFIG))
    assert [one["cause"] for one in shown["history"]][:3] == ["restored", "failed", "retired"]
    assert shown["model"]["digest"] == old.identity.digest
    assert shown["versions"][1]["digest"] == new.identity.digest
    assert "(command line)" in shown["history"][0]["by"]
    places = [(one["place"], one["title"]) for one in shown["operating_points"]]
    assert places[0] == ("CT2", "default (from 0.5, device CT2)")
    assert [place for place, _ in places] == ["CT2", "CT2"]


def test_what_may_not_be_is_refused_with_its_code(place, tmp_path: Path) -> None:
    for words, kind, code in (
        (("promote", "my-model@1.1.0", "--to", "live", "--why", "Now."), StateRefused, "state-refused"),
        (("promote", "my-model@1.1.0", "--to", "draft", "--why", "Now."), StateRefused, "state-refused"),
        (("promote", "my-model", "--to", "shadow", "--why", "Now."), UnknownModel, "unknown-model"),
        (("rollback", "my-model", "--why", "Now."), StateRefused, "state-refused"),
        (("retire", "my-model@1.0.0", "--why", ""), StateRefused, "state-refused"),
    ):
        with pytest.raises(kind) as caught:
            run("models", *words, *CONFIG)
        assert caught.value.code == code
    with pytest.raises(ConfigError):
        run("models", "retire", "my-model@1.0.0", "--why", "Now.", "--data", str(tmp_path / "nowhere"))
    assert versions() == {"1.0.0": "live", "1.1.0": "draft"}


def test_without_a_data_folder_packages_speak_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WETREAD_URL", raising=False)
    [line] = [one for one in json.loads(run("models", "list", "--json")) if one["name"] == "chest-ct"]
    assert (line["state"], line["since"], line["in_service"]) == ("live", None, True)
    assert not list(tmp_path.iterdir()), "nothing was made"
