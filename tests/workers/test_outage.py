"""PostgreSQL goes away under a service and its workers, at once and in the middle, and comes back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from dbos._sys_db import SystemDatabase
from sqlalchemy.exc import OperationalError

from tests.orthanc import Orthanc, requires_orthanc
from tests.path.service import PAUSE
from tests.postgres import Cluster, requires_postgresql
from tests.trust.ledger import Images
from tests.trust.sender import Sender
from tests.workers.pool import Pool
from tests.workers.ward import Ward
from wetread.engine import LONGEST_BACKOFF_S
from wetread.store.workers import TIME_TO_LIVE_S

requires_storescu = pytest.mark.skipif(
    shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
)
pytestmark = [requires_postgresql, requires_orthanc, requires_storescu]

OUT_OF_RESOURCES = 0xA700
#: Nobody beats for longer than makes one look dead.
AWAY_S = TIME_TO_LIVE_S + 3
#: A sender gets its answer within this time, whatever it is.
ANSWER_S = 20.0
#: From the start of PostgreSQL until everything is read and delivered, without any hand.
BACK_S = 90.0


def store_one(pool: Pool, images: Images) -> int:
    uid, data_set = images.make()
    with Sender(
        pool.dicom_port, images.sop_class_uid, images.transfer_syntax_uid, timeout_s=ANSWER_S
    ) as sender:
        return sender.store(uid, data_set)


def test_everything_goes_on_by_itself(make_pool, orthanc: Orthanc, cluster: Cluster, tmp_path: Path) -> None:
    ward = Ward(tmp_path, orthanc)
    pool: Pool = make_pool(ward.config)
    ward.promote(pool)
    pool.start_all(("serve", "--readings", "0"), ("worker",), ("worker",))
    workers = pool.workers()
    ward.hold()
    for urgency in ("routine", "urgent", "stat", "routine"):
        ward.scan(pool, urgency)
    pool.await_true(
        lambda: len(pool.matched()) == 2 and pool.count_queued() == 2, 60, "two running, two queued"
    )
    # No rule has this one read: it only knocks at the door.
    knocking = Images("2.25.1")
    assert store_one(pool, knocking) == 0
    cluster.stop()
    try:
        back_at = time.monotonic() + AWAY_S
        # The two that run end now, and cannot be kept.
        ward.let_go()
        while time.monotonic() < back_at:
            assert store_one(pool, knocking) == OUT_OF_RESOURCES
            PAUSE.wait(1)
    finally:
        cluster.start()
    back_at = time.monotonic()
    pool.await_true(lambda: store_one(pool, knocking) == 0, ANSWER_S, "a stored image")
    # Once more, as a database does that was moved in haste.
    cluster.stop()
    cluster.start()
    read = "SELECT count(*) FROM study WHERE state = 'read'"
    pool.await_true(lambda: pool.ask(read) == [(len(ward.sent),)], BACK_S, "all readings")
    waiting = "SELECT count(*) FROM delivery WHERE state NOT IN ('sent', 'verified')"
    pool.await_true(lambda: pool.ask(waiting) == [(0,)], BACK_S, "all deliveries")
    assert time.monotonic() - back_at < BACK_S
    assert [process.poll() for process in pool.processes] == [None] * 3
    assert sorted(pool.workers()) == sorted(workers)
    assert pool.ask("SELECT message FROM event WHERE stage = 'work'") == []
    ward.check_whole(pool)


class Asked(Exception):
    """Often enough."""


def test_the_engine_asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the database was away: DBOS would wait for 90 s at last, and nothing would go on."""
    waits: list[float] = []

    def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 20:
            raise Asked

    def begin() -> None:
        raise OperationalError("", {}, psycopg.OperationalError("connection failed"))

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(Asked):
        SystemDatabase.reenqueue_for_recovery(
            SimpleNamespace(engine=SimpleNamespace(begin=begin)), "", ["a"], ""
        )
    assert max(waits) <= 1.5 * LONGEST_BACKOFF_S
