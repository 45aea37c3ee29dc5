"""What is decided holds in every process that shares the index, from its next question on."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.postgres import database_name, requires_postgresql, shared_cluster
from tests.promoted import make_live
from tests.registry.versions import NAME, Board, write_version
from wetread.registry import read_packages
from wetread.registry.lineup import Lineup
from wetread.registry.promotion import roll_back
from wetread.store import open_store
from wetread.store.settings import StoreSettings, read_database_url

#: What the promise is.
MOST_S = 5.0


def answer(data: Path, url: str, folders: list[Path], pipe: Connection) -> None:
    """Say which version reads, whenever asked; ends when the other end is closed."""
    store = open_store(data, url)
    lineup = Lineup(read_packages(folders), store.model_states)
    while pipe.recv():
        model = lineup.now()[NAME]
        pipe.send(model.identity.version if model.may_read else "")


@contextmanager
def others(count: int, data: Path, url: str, folders: list[Path]) -> Iterator[Callable[[], list[str]]]:
    """Start processes; yields how all of them are asked."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(count):
        mine, theirs = context.Pipe()
        process = context.Process(target=answer, args=(data, url, folders, theirs))
        process.start()
        pipes.append(mine)
        processes.append(process)

    def ask() -> list[str]:
        for pipe in pipes:
            pipe.send(True)
        assert all(pipe.poll(60) for pipe in pipes)
        return [pipe.recv() for pipe in pipes]

    try:
        yield ask
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(False)
            process.join(60)


@pytest.mark.parametrize(
    "is_shared", [False, pytest.param(True, marks=requires_postgresql)], ids=["sqlite", "postgresql"]
)
def test_a_roll_back_holds_in_other_processes_at_once(tmp_path: Path, is_shared: bool) -> None:
    data = tmp_path / "data"
    settings = StoreSettings(database=shared_cluster().create(database_name(data)) if is_shared else "")
    url = read_database_url(settings)
    models = [write_version(tmp_path / version, version) for version in ("1.0.0", "1.1.0")]
    store = open_store(data, url)
    make_live(store, *models)
    with others(2, data, url, [tmp_path / "1.0.0", tmp_path / "1.1.0"]) as ask:
        assert ask() == ["1.1.0", "1.1.0"]
        begun = time.monotonic()
        roll_back(Lineup(models, store.model_states), NAME, Board().decide())
        assert ask() == ["1.0.0", "1.0.0"]
        assert time.monotonic() - begun < MOST_S
    store.close()
