"""The secrets of authenticator apps: sealed where a key is configured, each for its account alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from tests.stores import open_store, store_table
from wetread.cli import app
from wetread.errors import StorageError
from wetread.sealed import SealError
from wetread.store import Store, schema
from wetread.store.accounts import DAMAGED
from wetread.store.keys import EncryptionSettings, make_key_file, read_key_notes
from wetread.store.place import take_place
from wetread.store.rotation import count_keys, rotate_keys

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 - of no account anywhere


@pytest.fixture
def key(tmp_path: Path) -> EncryptionSettings:
    make_key_file(tmp_path / "key")
    return EncryptionSettings(key_file=tmp_path / "key")


@pytest.fixture
def new_key(tmp_path: Path) -> EncryptionSettings:
    make_key_file(tmp_path / "new")
    return EncryptionSettings(key_file=tmp_path / "new", old_key_files=(tmp_path / "key",))


@pytest.fixture
def open_any(tmp_path: Path) -> Iterator:
    """Opens the data folder of this test; closes what was opened."""
    opened: list[Store] = []

    def open_it(encryption: EncryptionSettings | None = None) -> Store:
        opened.append(open_store(tmp_path / "data", encryption))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


def add(store: Store, name: str) -> None:
    store.accounts.add(name, "lead", NOW, totp_secret=SECRET)


def stored(store: Store, name: str) -> str:
    table = schema.account
    with store.engine.connect() as connection:
        query = select(table.c.totp_secret).where(table.c.name == name)
        return str(connection.execute(query).scalar_one())


def opened(store: Store, name: str) -> str:
    row = store.accounts.find(name)
    assert row is not None
    return store.accounts.open_totp(row)


def is_in_files(data: Path) -> bool:
    return any(SECRET.encode() in path.read_bytes() for path in data.rglob("*") if path.is_file())


def test_it_is_never_written_in_plain_text_and_opens_again(open_any, key: EncryptionSettings) -> None:
    store = open_any(key)
    add(store, "anna")
    add(store, "bert")
    assert SECRET not in stored(store, "anna")
    assert stored(store, "anna") != stored(store, "bert")
    assert opened(store, "anna") == opened(store, "bert") == SECRET
    assert not is_in_files(store.data)
    store.accounts.set(store.accounts.find("anna").id, totp_secret="")
    assert stored(store, "anna") == ""
    assert SECRET not in repr(store.accounts.list_all())


def test_without_a_key_it_is_as_it_was(open_any) -> None:
    store = open_any(EncryptionSettings())
    add(store, "anna")
    assert stored(store, "anna") == opened(store, "anna") == SECRET
    assert store.accounts.renew_secrets().sealed == 0
    assert count_keys(store.vault, store.accounts).secrets == {"": 1}


def test_a_row_copied_to_another_account_does_not_open(open_any, key: EncryptionSettings) -> None:
    store = open_any(key)
    add(store, "anna")
    add(store, "mallory")
    table = schema.account
    for text in (stored(store, "mallory"), stored(store, "anna")[:-2], "sealed1:", "sealed1:AA", "sealed1:ä"):
        with store.engine.begin() as connection:
            connection.execute(update(table).where(table.c.name == "anna").values(totp_secret=text))
        with pytest.raises(SealError):
            opened(store, "anna")
    assert opened(store, "mallory") == SECRET


@pytest.mark.parametrize("way", ["alone", "shared"])
def test_what_was_plain_is_sealed_at_the_next_start(open_any, key: EncryptionSettings, way: str) -> None:
    before = open_any(EncryptionSettings())
    add(before, "anna")
    before.accounts.add("bert", "lead", NOW)
    before.close()
    store = open_any(key)
    assert opened(store, "anna") == SECRET
    if way == "alone":
        store.own()
    else:
        store = take_place(store, "one")
    assert stored(store, "anna").startswith("sealed1:")
    assert opened(store, "anna") == SECRET
    assert stored(store, "bert") == ""
    assert not is_in_files(store.data)


def test_rotation_seals_them_with_the_new_key_alone(open_any, key, new_key) -> None:
    old = open_any(key)
    add(old, "anna")
    key_id = old.vault.key_id
    old.close()
    store = open_any(new_key)
    assert count_keys(store.vault, store.accounts).secrets == {key_id: 1}
    assert rotate_keys(store.vault, store.accounts).secrets.sealed == 1
    assert count_keys(store.vault, store.accounts).secrets == {store.vault.key_id: 1}
    assert read_key_notes(store.data) == (store.vault.key_id,)
    assert rotate_keys(store.vault, store.accounts).secrets.sealed == 0
    store.close()
    assert opened(open_any(EncryptionSettings(key_file=new_key.key_file)), "anna") == SECRET


def test_what_no_key_opens_keeps_the_old_key_and_is_named(open_any, key, new_key) -> None:
    store = open_any(key)
    add(store, "anna")
    add(store, "bert")
    table = schema.account
    with store.engine.begin() as connection:
        values = {"totp_secret": "sealed1:AAAA"}
        connection.execute(update(table).where(table.c.name == "bert").values(values))
    store.close()
    store = open_any(new_key)
    done = rotate_keys(store.vault, store.accounts)
    assert (done.secrets.sealed, done.secrets.failed) == (1, ("bert",))
    assert len(read_key_notes(store.data)) == 2
    assert count_keys(store.vault, store.accounts).secrets == {store.vault.key_id: 1, DAMAGED: 1}


def test_who_has_no_key_can_neither_open_nor_set_one(open_any, key: EncryptionSettings) -> None:
    add(open_any(key), "anna")
    store = open_any(None)
    with pytest.raises(SealError):
        opened(store, "anna")
    with pytest.raises(StorageError):
        add(store, "bert")
    assert store.accounts.find("bert") is None


def test_the_commands_count_and_seal(open_any, tmp_path: Path, key, new_key) -> None:
    before = open_any(EncryptionSettings())
    add(before, "anna")
    before.close()
    config = tmp_path / "wetread.toml"

    def run(word: str, table: str, status: int = 0) -> str:
        config.write_text(f'data = "data"\n{store_table(tmp_path / "data")}[encryption]\n{table}')
        done = CliRunner().invoke(app, ["keys", word, "--config", str(config)])
        assert done.exit_code == status, done.output
        return done.output

    one = 'key_file = "key"\n'
    assert "not encrypted     0 files, 1 secrets" in run("status", one)
    assert "1 secrets of authenticator apps sealed" in run("encrypt", one)
    shown = run("status", one)
    assert "0 files, 1 secrets of authenticator apps  (current key)" in shown
    assert "not encrypted     0 files\n" in shown
    both = 'key_file = "new"\nold_key_files = ["key"]\n'
    assert "1 secrets of authenticator apps sealed" in run("rotate", both)
    store = open_any(EncryptionSettings(key_file=new_key.key_file))
    with store.engine.begin() as connection:
        connection.execute(update(schema.account).values({"totp_secret": "sealed1:AAAA"}))
    assert "reset-totp anna" in run("rotate", both, status=1)
    assert "damaged           0 files, 1 secrets" in run("status", both)
