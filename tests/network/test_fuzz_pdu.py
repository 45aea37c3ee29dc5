"""A bounded fuzz run over PDUs and messages; ``benchmarks/fuzz_pdu.py`` runs for longer."""

from __future__ import annotations

from pathlib import Path

from tests.network.fuzz_pdu import fuzz
from wetread.store import open_store


def test_nothing_but_answers_aborts_and_ends(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    try:
        assert fuzz(store, seconds=12, seed=20261124) > 50
    finally:
        store.close()
