"""Group commit: together, in turn, and an error for everybody whom it concerns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, select

from tests.path.service import await_true
from tests.stores import open_store
from tests.trust.ledger import Images
from wetread.dicom.header import read_instance_bytes
from wetread.domain.progress import Acceptance
from wetread.errors import StorageError
from wetread.receive.spool import Spool, encode_file_meta
from wetread.store import Store, intake, schema
from wetread.store.group import Group
from wetread.store.intake import Arrived


class Stage:
    """Threads that commit numbers together; the first one waits until it may go on."""

    def __init__(self, commit: Callable[[Sequence[int]], None]) -> None:
        self.group: Group[int] = Group()
        self.batches: list[list[int]] = []
        self.heard: dict[int, Exception | None] = {}
        self.may_go = threading.Event()
        self._really = commit
        self._threads: list[threading.Thread] = []

    def run(self, count: int) -> None:
        """Let one lead, the others gather behind it, and wait for all."""
        self._start(0)
        await_true(lambda: self.batches == [[0]], 10, "the leader")
        for number in range(1, count):
            self._start(number)
            await_true(lambda number=number: len(self.group._waiting) == number, 10, "one more")
        self.may_go.set()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, number: int) -> None:
        thread = threading.Thread(target=self._commit, args=(number,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _commit(self, number: int) -> None:
        self.heard[number] = None
        try:
            self.group.commit(number, self._together)
        except Exception as error:  # noqa: BLE001 - it is what is tested
            self.heard[number] = error

    def _together(self, numbers: Sequence[int]) -> None:
        self.batches.append(list(numbers))
        if numbers[0] == 0:
            assert self.may_go.wait(10)
        self._really(numbers)


def test_who_comes_meanwhile_is_committed_together() -> None:
    stage = Stage(lambda _: None)
    stage.run(6)
    assert stage.batches == [[0], [1, 2, 3, 4, 5]]
    assert set(stage.heard.values()) == {None}
    # Nobody leads any more: the next one does not wait.
    stage.group.commit(9, lambda _: None)


def test_a_failed_disk_is_heard_by_all_who_wait_and_by_nobody_later() -> None:
    failure = StorageError(reason="broken")

    def fail(_: Sequence[int]) -> None:
        raise failure

    stage = Stage(fail)
    stage.run(4)
    assert stage.batches == [[0]]
    assert list(stage.heard.values()) == [failure] * 4
    stage.group.commit(9, lambda _: None)


def test_one_at_fault_fails_alone() -> None:
    failure = ValueError("two")

    def refuse_two(numbers: Sequence[int]) -> None:
        if 2 in numbers:
            raise failure

    stage = Stage(refuse_two)
    stage.run(4)
    assert stage.heard == {0: None, 1: None, 2: failure, 3: None}
    assert stage.batches == [[0], [1, 2, 3], [1], [2], [3]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def arrive(store: Store, images: Images) -> Arrived:
    uid, data = images.make()
    spool = Spool(store.intake.incoming, store.vault)
    spool.begin(encode_file_meta(images.sop_class_uid, uid, images.transfer_syntax_uid))
    spool.write(memoryview(data))
    spool.finish()
    assert spool.content is not None
    instance = read_instance_bytes(spool.content, spool.path)
    return Arrived(
        instance=instance,
        content_digest=spool.digest,
        size=spool.size,
        received_at=datetime.now(UTC),
        source="T",
    )


def accept_at_once(store: Store, several: Sequence[Arrived], held: threading.Lock) -> list[object]:
    """Take in several: the first one leads, the others come while ``held`` keeps it."""
    heard: list[object] = [None] * len(several)

    def accept(number: int) -> None:
        try:
            heard[number] = store.intake.accept(several[number])
        except Exception as error:  # noqa: BLE001 - it is what is tested
            heard[number] = error

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(len(several))]
    threads[0].start()
    await_true(lambda: store.intake._group._is_led and not store.intake._group._waiting, 10, "the leader")
    for thread in threads[1:]:
        thread.start()
    await_true(lambda: len(store.intake._group._waiting) == len(several) - 1, 10, "the others")
    held.release()
    for thread in threads:
        thread.join(20)
    return heard


@pytest.fixture
def several(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Arrived]:
    """Five images, no two of which meet at one lock."""
    monkeypatch.setattr(intake.Intake, "alone", lambda *_: threading.Lock())
    images = [Images(f"2.25.{number % 2 + 1}") for number in range(5)]
    return [arrive(store, one) for one in images]


def hold_sync(monkeypatch: pytest.MonkeyPatch, fails: bool) -> tuple[threading.Lock, list[Path]]:
    held, synced = threading.Lock(), []
    held.acquire()

    def sync(path: Path) -> None:
        with held:
            synced.append(path)
            if fails:
                raise OSError(5, os.strerror(5))

    monkeypatch.setattr(intake, "sync_folder", sync)
    return held, synced


def test_images_at_once_are_one_transaction(
    store: Store, several: list[Arrived], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    event.listen(store.engine, "commit", commits.append)
    held, synced = hold_sync(monkeypatch, fails=False)
    assert accept_at_once(store, several, held) == [Acceptance.ACCEPTED] * 5
    assert len(commits) == 2
    assert set(synced) == {
        store.intake.instances.path(one.instance.sop_instance_uid).parent for one in several
    }
    assert {uid for uid, _ in store.intake.iter_known()} == {one.instance.sop_instance_uid for one in several}
    assert {row.instance_count for row in store.studies.list_newest()} == {2, 3}
    arrivals = select(schema.instance.c.study_instance_uid, schema.instance.c.arrival)
    with store.engine.connect() as connection:
        numbered = sorted(tuple(row) for row in connection.execute(arrivals))
        counted = sorted(connection.execute(select(schema.series.c.instance_count)).scalars())
    assert numbered == [("2.25.1", 1), ("2.25.1", 2), ("2.25.1", 3), ("2.25.2", 1), ("2.25.2", 2)]
    assert sum(counted) == 5


def test_a_result_that_comes_back_among_images_is_counted_as_none(
    store: Store, several: list[Arrived], monkeypatch: pytest.MonkeyPatch
) -> None:
    back = several[2].instance.sop_instance_uid
    with store.engine.begin() as connection:
        values = {"digest": intake.forgotten_digest(back), "forgotten_at": 0}
        connection.execute(schema.forgotten.insert().values(values))
    held, _ = hold_sync(monkeypatch, fails=False)
    assert accept_at_once(store, several, held) == [Acceptance.ACCEPTED] * 5
    columns = (schema.instance.c.sop_instance_uid, schema.instance.c.is_result, schema.instance.c.arrival)
    with store.engine.connect() as connection:
        rows = {uid: (is_result, arrival) for uid, is_result, arrival in connection.execute(select(*columns))}
    assert rows.pop(back) == (True, 0)
    assert sorted(rows.values()) == [(False, 1), (False, 1), (False, 2), (False, 2)]
    assert [row.instance_count for row in store.studies.list_newest()] == [2, 2]


def test_a_folder_that_cannot_be_synced_fails_all_and_keeps_nothing(
    store: Store, several: list[Arrived], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, synced = hold_sync(monkeypatch, fails=True)
    heard = accept_at_once(store, several, held)
    assert all(isinstance(one, StorageError) for one in heard)
    assert len(synced) == 1, "a sync that failed was tried again"
    assert list(store.intake.iter_known()) == []
    assert list(store.intake.instances.iter_paths()) == []


def test_an_image_that_the_index_refuses_fails_alone(
    store: Store, several: list[Arrived], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too large a number for any column: the third one is at fault.
    several[2] = replace(several[2], size=1 << 80)
    held, _ = hold_sync(monkeypatch, fails=False)
    heard = accept_at_once(store, several, held)
    assert isinstance(heard.pop(2), Exception)
    assert heard == [Acceptance.ACCEPTED] * 4
    assert len(list(store.intake.iter_known())) == 4
    assert len(list(store.intake.instances.iter_paths())) == 4
