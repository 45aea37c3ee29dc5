"""What two processes do to one index at the same moment, here by two stores in threads."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import pytest

from tests.path.service import await_true
from tests.postgres import Cluster, database_name, requires_postgresql, shared_cluster
from tests.store.test_store import arrive
from wetread.domain.progress import Acceptance
from wetread.errors import ConfigError, IndexUnavailable
from wetread.heartbeat import Heartbeat
from wetread.store import Store, open_store
from wetread.store.place import take_place
from wetread.store.settings import StoreSettings, read_database_url
from wetread.store.workers import Workers

pytestmark = requires_postgresql
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def cluster() -> Cluster:
    return shared_cluster()


@pytest.fixture
def stores(tmp_path: Path, cluster: Cluster) -> Iterator[list[Store]]:
    """The same index and data folder, opened by two at the same moment (and so migrated once)."""
    url = read_database_url(StoreSettings(database=cluster.create(database_name(tmp_path))))
    with ThreadPoolExecutor(2) as threads:
        opened = list(threads.map(lambda _: open_store(tmp_path / "data", url), range(2)))
    placed = [take_place(store, f"process{number}") for number, store in enumerate(opened)]
    yield placed
    for store in placed:
        store.close()


def together(*calls):
    """Run calls at the same moment; returns what they returned."""
    barrier = Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_images_of_one_study_are_counted_once_each(stores: list[Store]) -> None:
    images = [
        (store, arrive(store, 2 * number + index))
        for number in range(12)
        for index, store in enumerate(stores)
    ]
    done = together(*[lambda store=store, one=one: store.intake.accept(one) for store, one in images])
    assert set(done) == {Acceptance.ACCEPTED}
    [row] = stores[0].studies.list_newest()
    assert row.instance_count == len(images)
    study = stores[0].studies.load(row.study_instance_uid)
    assert sum(len(series.instances) for series in study.series) == len(images)


def test_the_same_image_from_two_doors_is_kept_once(stores: list[Store]) -> None:
    for number in range(8):
        one, other = (arrive(store, number) for store in stores)
        done = together(partial(stores[0].intake.accept, one), partial(stores[1].intake.accept, other))
        assert sorted(done) == [Acceptance.ACCEPTED, Acceptance.REPEATED]
        assert stores[0].intake.instances.path(one.instance.sop_instance_uid).exists()
    assert stores[0].studies.list_newest()[0].instance_count == 8


def test_a_revision_begins_once(stores: list[Store]) -> None:
    for number in range(8):
        stores[0].intake.accept(arrive(stores[0], number))
        study = stores[0].studies.list_newest()[0].study_instance_uid
        begins = [partial(store.studies.begin_revision, study, "quiet", NOW) for store in stores]
        begun = together(*begins)
        assert [one.revision for one in begun if one is not None] == [number + 1]


def test_text_that_postgresql_cannot_hold_is_taken_all_the_same(stores: list[Store]) -> None:
    one = arrive(stores[0], 1)
    header = dict(one.instance.header) | {"PatientName": "A\0B", "StudyDescription": "x\ud800y"}
    odd = dataclasses.replace(one, instance=dataclasses.replace(one.instance, header=header))
    assert stores[0].intake.accept(odd) is Acceptance.ACCEPTED
    [row] = stores[1].studies.list_newest()
    assert (row.patient_name, row.study_description) == ("AB", "x?y")


def test_the_folder_of_a_dead_process_is_cleared_and_no_other(stores: list[Store]) -> None:
    living, dead = stores
    (living.work / "mine").touch()
    (dead.work / "left").touch()
    for lock in dead._locks:
        lock.close()
    third = take_place(living, "process9")
    assert (living.work / "mine").exists()
    assert not dead.work.exists()
    assert third.work.is_dir()


def test_a_shared_folder_is_taken_by_nobody_alone(stores: list[Store]) -> None:
    with pytest.raises(ConfigError, match="Another"):
        stores[0].own()


def test_only_the_silent_are_buried(stores: list[Store]) -> None:
    workers = Workers(stores[0].engine, time_to_live_s=0.2)
    workers.join("a")
    workers.join("b")
    limit = time.monotonic() + 10
    while "a" not in workers.list_dead():
        assert workers.beat("b")
        assert time.monotonic() < limit
    workers.beat("b")
    assert workers.bury({"a", "b"}) == {"a"}
    assert not workers.beat("a")
    assert workers.beat("b")


class NoJobs:
    """An engine in which nobody works on anything."""

    def list_owners(self) -> set[str]:
        return set()

    def recover(self, worker_ids: set[str]) -> int:
        return 0

    def recover_missing(self) -> int:
        return 0


@pytest.fixture
def heartbeat(stores: list[Store]) -> Iterator[Heartbeat]:
    """One of two workers; nobody has heard of the other for a minute."""
    [store, _] = stores
    for name in ("me", "silent"):
        store.workers.join(name)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE worker SET beat_at = beat_at - 60 WHERE id = 'silent'")
    apart = store.workers.apart()
    yield Heartbeat(apart, store.history, "me", pytest.fail, lambda: NOW, beat_s=0.05)
    apart.close()


def cut_off(heartbeat: Heartbeat) -> None:
    """As after a minute without the database: the others had no time yet to beat again."""
    heartbeat._calm.last_beat -= 60


def test_who_was_cut_off_judges_nobody(stores: list[Store], heartbeat: Heartbeat) -> None:
    heartbeat.watch(NoJobs())
    assert stores[0].workers.list_dead() == {"silent"}, "whoever has just begun knows too little"
    heartbeat._calm.since = 0.0
    cut_off(heartbeat)
    heartbeat.watch(NoJobs())
    assert stores[0].workers.list_dead() == {"silent"}
    heartbeat._calm.since = 0.0
    heartbeat.watch(NoJobs())
    assert stores[0].workers.list_dead() == set()
    assert [event.code for event in stores[0].history.list_newest()] == ["worker-lost"]


def test_a_gap_while_the_engine_waited_is_noticed(stores: list[Store], heartbeat: Heartbeat) -> None:
    class Waiting(NoJobs):
        def list_owners(self) -> set[str]:
            cut_off(heartbeat)
            return set()

    heartbeat.beat()
    heartbeat._calm.since = 0.0
    heartbeat.watch(Waiting())
    assert stores[0].workers.list_dead() == {"silent"}


def test_an_engine_that_waits_holds_up_no_beat(stores: list[Store], heartbeat: Heartbeat) -> None:
    waits, goes_on = Event(), Event()

    class Waiting(NoJobs):
        def list_owners(self) -> set[str]:
            waits.set()
            goes_on.wait()
            return set()

    def beat_at() -> float:
        with stores[0].engine.connect() as connection:
            query = "SELECT beat_at FROM worker WHERE id = 'me'"
            return float(connection.exec_driver_sql(query).scalar_one())

    heartbeat.start()
    heartbeat.start_watching(Waiting())
    assert waits.wait(10)
    before = beat_at()
    try:
        await_true(lambda: beat_at() > before, 10, "another beat")
    finally:
        goes_on.set()
        heartbeat.stop()


def test_broken_connections_are_made_anew(stores: list[Store], cluster: Cluster, tmp_path: Path) -> None:
    [store, _] = stores
    assert store.studies.list_newest() == []
    assert cluster.disconnect_all(database_name(tmp_path)) > 0
    assert store.intake.accept(arrive(store, 1)) is Acceptance.ACCEPTED


def test_what_breaks_in_the_middle_is_told_as_such(
    stores: list[Store], cluster: Cluster, tmp_path: Path
) -> None:
    with stores[0].engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        cluster.disconnect_all(database_name(tmp_path))
        with pytest.raises(IndexUnavailable):
            connection.exec_driver_sql("SELECT 1")
