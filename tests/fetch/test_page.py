"""What is fetched is on a page and on the command line, and what failed gets a second chance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.fetch.desk import NOW
from tests.fetch.peers import make_study
from tests.store.test_catalogue import Archive
from tests.stores import open_store, store_table
from wetread.cli import app
from wetread.domain.fetching import BackfillState, FetchReason, FetchState
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.fetches import FetchRow, Want
from wetread.web import create_web

ORIGIN = "http://127.0.0.1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def failed(store: Store) -> FetchRow:
    want = Want(study_instance_uid="1.2.3", pacs="archive", reason=FetchReason.WATCH, study_date="20261101")
    row = store.fetches.want(want, NOW)
    store.fetches.begin(row.id, NOW)
    message = "The PACS lists 2 images that did not come."
    store.fetches.end(row.id, FetchState.FAILED, NOW, code="fetch-failed", message=message)
    store.pacs.note("archive", NOW)
    store.pacs.note("archive", NOW, code="peer-unreachable", message="Nobody there.")
    return row


def test_the_page_tells_what_failed_and_retries_it(store: Store, failed: FetchRow) -> None:
    web = create_web(store, (), on_retry=lambda: None, now=lambda: NOW)
    with TestClient(web, base_url=ORIGIN, follow_redirects=False) as client:
        text = client.get("/fetch").text
        for told in ("archive", "2 images that did not come", "Nobody there.", "2026-11-01"):
            assert told in text
        path = f"/fetch/retry?number={failed.id}"
        assert path in text
        assert client.post(path, headers={"Origin": ORIGIN}).status_code == 303
        assert client.post("/fetch/retry?number=99", headers={"Origin": ORIGIN}).status_code == 404
    assert store.fetches.get(failed.id).state is FetchState.WAITING
    [entry] = AuditRows(store.engine).list_last(1, study="1.2.3")
    assert "started again" in entry.message


def run(tmp_path: Path, *words: str, fails: bool = False) -> str:
    config = tmp_path / "wetread.toml"
    config.write_text(
        'data = "data"\n[[pacs]]\nname = "archive"\nto = "PACS@127.0.0.1:1"\n'
        f'[[rules]]\nname = "chest"\nmodels = ["chest-ct"]\n{store_table(tmp_path / "data")}'
    )
    done = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert (done.exception is not None) is fails, done.output
    return done.stdout + (str(done.exception) if fails else "")


def test_the_command_line_lists_and_retries(tmp_path: Path, store: Store, failed: FetchRow) -> None:
    assert "peer-unreachable" in run(tmp_path, "fetch", "status")
    [told] = json.loads(run(tmp_path, "fetch", "list", "--json"))
    assert (told["state"], told["study_instance_uid"]) == ("failed", "1.2.3")
    assert "1 to be tried again" in run(tmp_path, "fetch", "retry", str(failed.id))
    assert store.fetches.get(failed.id).state is FetchState.WAITING
    assert "known are" in run(tmp_path, "fetch", "list", "--state", "gone", fails=True)
    assert "1 to be fetched" in run(tmp_path, "fetch", "get", "archive", "1.2.4")
    assert store.fetches.find("1.2.4", "archive").reason is FetchReason.ASKED
    assert "no PACS 'nowhere'" in run(tmp_path, "fetch", "get", "nowhere", "1.2.4", fails=True)


def test_a_backfill_is_begun_paused_and_ended(tmp_path: Path, store: Store) -> None:
    words = ("backfill", "--from", "2020-01-01", "--to", "2020-01-31")
    assert "31 days" in run(tmp_path, *words, "--rule", "chest", "--no-deliver")
    [row] = store.backfills.list_all()
    assert (row.pacs, row.rules, row.deliver, row.cursor) == ("archive", ("chest",), False, "20200101")
    [told] = json.loads(run(tmp_path, "backfill", "status", "--json"))
    assert (told["days"], told["days_done"]) == (31, 0)
    run(tmp_path, "backfill", "pause", "1")
    assert store.backfills.find(1).state is BackfillState.PAUSED
    run(tmp_path, "backfill", "resume", "1")
    run(tmp_path, "backfill", "cancel", "1")
    assert store.backfills.find(1).state is BackfillState.CANCELLED
    assert "has ended" in run(tmp_path, "backfill", "resume", "1", fails=True)
    assert "no rule 'knee'" in run(tmp_path, *words, "--rule", "knee", fails=True)
    late = f"{NOW.date() + timedelta(days=9000)}"
    assert "future" in run(tmp_path, "backfill", "--from", "2020-01-01", "--to", late, fails=True)


def test_a_prior_says_what_it_is(store: Store) -> None:
    want = Want(study_instance_uid="1.2.5", pacs="archive", reason=FetchReason.PRIOR)
    row = store.fetches.want(want, NOW)
    store.fetches.begin(row.id, NOW)
    archive = Archive(store)
    for ds in make_study("1.2.5", images=1):
        archive.add_data_set(ds)
    store.purposes.close_prior("1.2.5")
    key = store.studies.find("1.2.5").key
    with TestClient(create_web(store, (), now=lambda: NOW), base_url=ORIGIN) as client:
        text = client.get(f"/studies/{key}").text
        assert "a prior: to be compared with" in text
        assert 'id="reopen"' not in text
        assert key in client.get("/?show=reported").text
        assert key not in client.get("/").text
