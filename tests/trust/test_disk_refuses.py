"""A disk that is full, read-only or broken, and an index that others hold: "no" within a second, then on."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.path.service import await_true
from tests.stores import database_url, open_store, store_table
from tests.trust.disk import BROKEN, FULL, READ_ONLY, Disk, requires_gcc
from tests.trust.doors import Doors
from tests.trust.ledger import Images, Ledger, check_whole
from tests.trust.sender import Sender, echo
from wetread.domain.problem import ProblemCode
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import Store
from wetread.store.space import Space

OUT_OF_RESOURCES = 0xA700
#: The promise is a second; other work on the machine may take the processor from us for as long.
WITHIN_S = 2.0


@dataclass
class Door:
    """A service on a disk that can fail, and one association with it."""

    disk: Disk
    port: int
    sender: Sender
    images: Images
    ledger: Ledger

    @property
    def data(self) -> Path:
        return self.disk.root / "data"

    def send(self) -> int:
        uid, data_set = self.images.make()
        began = time.monotonic()
        status = self.sender.store(uid, data_set)
        assert time.monotonic() - began < WITHIN_S
        self.ledger.note(status, uid, data_set, self.images.study)
        return status


@pytest.fixture
def door(disk: Disk) -> Iterator[Door]:
    data, images = disk.root / "data", Images("2.25.77")
    with Doors(data, disk.environment()) as doors:
        doors.begin()
        port = doors.port()
        assert port is not None
        with Sender(port, images.sop_class_uid, images.transfer_syntax_uid) as sender:
            yield Door(disk, port, sender, images, Ledger())


def stored_files(data: Path) -> int:
    return len(list((data / "instances").glob("??/*")))


@requires_gcc
@pytest.mark.parametrize(
    ("number", "part", "let_pass"),
    [
        (FULL, "/", 0),
        (READ_ONLY, "/", 0),
        (BROKEN, "/", 0),
        # In the middle of an instance: after some of its writes.
        (FULL, "/incoming/", 2),
        (FULL, "/instances/", 0),
        pytest.param(FULL, "index.sqlite-wal", 0, marks=pytest.mark.sqlite),
        pytest.param(BROKEN, "index.sqlite-wal", 1, marks=pytest.mark.sqlite),
    ],
    ids=lambda value: str(value).strip("/"),
)
def test_no_within_a_second_and_on_when_there_is_room(
    door: Door, number: int, part: str, let_pass: int
) -> None:
    assert [door.send() for _ in range(3)] == [0, 0, 0]
    door.disk.fail(number, part, let_pass)
    assert OUT_OF_RESOURCES in {door.send() for _ in range(4)}
    assert door.send() == OUT_OF_RESOURCES
    assert echo(door.port) == 0
    # One file is open ahead for the next image.
    assert stored_files(door.data) == len(door.ledger.acknowledged)
    assert len([one for one in door.data.rglob("incoming/*") if one.is_file()]) <= 1
    door.disk.mend()
    assert [door.send() for _ in range(3)] == [0, 0, 0]
    store = open_store(door.data)
    try:
        await_true(lambda: ProblemCode.STORAGE_ERROR in problems(store), 30, "the event")
    finally:
        store.close()


def test_every_acknowledged_image_is_there_after_all_that(door: Door, tmp_path: Path) -> None:
    for part in ("/incoming/", "/instances/", "index.sqlite", "/"):
        for let_pass in range(6):
            door.disk.fail(FULL, part, let_pass)
            for _ in range(3):
                door.send()
            door.disk.mend()
            assert door.send() == 0
    door.disk.after_power_cut(tmp_path / "after")
    door.ledger.check(tmp_path / "after" / "data", database_url(door.data))


def problems(store: Store) -> set[str]:
    return {event.code for event in store.history.list_newest() if event.level == "problem"}


@pytest.mark.parametrize("number", [FULL, READ_ONLY], ids=["full", "read-only"])
@requires_gcc
def test_a_start_says_what_is_wrong(disk: Disk, tmp_path: Path, number: int) -> None:
    data = disk.root / "data"
    data.mkdir()
    (tmp_path / "wetread.toml").write_text(f'data = "{data}"\n{store_table(data)}')
    disk.fail(number)
    command = [str(Path(sys.executable).parent / "wetread"), "serve", "--config"]
    command.append(str(tmp_path / "wetread.toml"))
    done = subprocess.run(
        command, env=os.environ | disk.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "storage-error" in done.stderr
    assert "Traceback" not in done.stderr


def test_less_room_than_the_reserve_takes_no_image(tmp_path: Path) -> None:
    free = [50 << 30]
    store = open_store(tmp_path / "data")
    space = Space(tmp_path, reserve_mb=1024, age_s=0.0, measure=lambda _: (100 << 30, free[0]))
    store = replace(store, intake=replace(store.intake, space=space))
    images, answers = Images("2.25.78"), []
    receiver = start_receiver(ReceiverOptions(port=0), store)
    try:
        with Sender(receiver.port, images.sop_class_uid, images.transfer_syntax_uid) as sender:
            for free[0] in (50 << 30, 1 << 30, 500 << 20, 1025 << 20):
                answers.append(sender.store(*images.make()))
    finally:
        receiver.stop()
        store.close()
    assert answers == [0, 0, OUT_OF_RESOURCES, 0]


def test_the_reserve_is_a_small_share_of_a_small_disk(tmp_path: Path) -> None:
    space = Space(tmp_path, reserve_mb=1024, measure=lambda _: (10 << 30, 500 << 20))
    space.check()


@pytest.mark.sqlite  # one process that writes keeps all others waiting
def test_an_index_that_another_process_holds(tmp_path: Path) -> None:
    """0xA700 within a second, readers go on, and the next image is taken when it is free."""
    store = open_store(tmp_path / "data")
    images, ledger = Images("2.25.79"), Ledger()
    receiver = start_receiver(ReceiverOptions(port=0), store)
    try:
        with Sender(receiver.port, images.sop_class_uid, images.transfer_syntax_uid) as sender:
            uid, data_set = images.make()
            ledger.note(sender.store(uid, data_set), uid, data_set, images.study)
            with closing(sqlite3.connect(tmp_path / "data" / "index.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                began = time.monotonic()
                assert sender.store(*images.make()) == OUT_OF_RESOURCES
                assert time.monotonic() - began < WITHIN_S
                assert echo(receiver.port) == 0
                assert store.studies.list_newest()[0].instance_count == 1
                other.execute("ROLLBACK")
            uid, data_set = images.make()
            ledger.note(sender.store(uid, data_set), uid, data_set, images.study)
        await_true(lambda: ProblemCode.STORAGE_ERROR in problems(store), 30, "the event")
        assert len(ledger.acknowledged) == 2
        check_whole(store, ledger)
    finally:
        receiver.stop()
        store.close()


def test_load_is_no_fault(tmp_path: Path) -> None:
    """Thirty-two senders at once wait for each other, and none is turned away."""
    store = open_store(tmp_path / "data")
    ledger = Ledger()
    receiver = start_receiver(ReceiverOptions(port=0), store)
    try:
        for thread in ledger.send(receiver.port, associations=32, limit=6):
            thread.join(120)
        assert ledger.answers == {0: 192}
        check_whole(store, ledger)
    finally:
        receiver.stop()
        store.close()
