"""Reads that belong together have one connection, and nobody holds two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from tests.stores import open_store
from wetread.errors import IndexUnavailable
from wetread.store import Store
from wetread.store.together import let_go, reading, together, writing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def taken(store: Store) -> list[str]:
    """Told when a connection is taken and given back."""
    told: list[str] = []
    event.listen(store.engine, "checkout", lambda *_: told.append("taken"))
    event.listen(store.engine, "checkin", lambda *_: told.append("given"))
    return told


def ask(store: Store) -> int:
    with reading(store.engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM account")).scalar_one())


def add(store: Store, name: str) -> None:
    with writing(store.engine) as connection:
        values = "VALUES (:name, '', 'reader', '', '', 0, false, false, true, 0, 0)"
        columns = (
            "name, display_name, role, password_hash, totp_secret, totp_step, must_change_password,"
            " must_use_totp, is_active, failures, created_at"
        )
        connection.execute(text(f"INSERT INTO account ({columns}) {values}"), {"name": name})


def test_reads_have_one_connection_for_as_long_as_they_belong_together(
    store: Store, taken: list[str]
) -> None:
    with together(store.engine):
        assert [ask(store), ask(store)] == [0, 0]
        with together(store.engine):
            assert ask(store) == 0
        assert taken == ["taken"]
    assert taken == ["taken", "given"]
    ask(store)
    assert taken == ["taken", "given"] * 2


def test_nobody_waits_for_a_connection_while_holding_one(store: Store, taken: list[str]) -> None:
    with together(store.engine):
        ask(store)
        add(store, "anna")
        # One given back before the next was taken; and what was written is seen.
        assert taken == ["taken", "given"] * 2
        assert ask(store) == 1
        let_go()
        assert taken == ["taken", "given"] * 3


def test_a_question_that_failed_spoils_no_other(store: Store) -> None:
    with together(store.engine):
        with pytest.raises((DBAPIError, IndexUnavailable)), reading(store.engine) as connection:
            connection.execute(text("SELECT nothing FROM nowhere"))
        assert ask(store) == 0
