"""Several real processes share one queue on a real PostgreSQL; one dies: nothing is lost or done twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.orthanc import Orthanc, requires_orthanc
from tests.postgres import requires_postgresql
from tests.workers.pool import WETREAD, Pool
from tests.workers.ward import Ward, lose_one

requires_storescu = pytest.mark.skipif(
    shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
)
pytestmark = [requires_postgresql, requires_orthanc, requires_storescu]

#: From the kill until the others have read and delivered everything, in s: promised in the issue.
PROMISED_S = 60.0


def test_one_of_three_is_killed_for_good(make_pool, orthanc: Orthanc, tmp_path: Path) -> None:
    ward = Ward(tmp_path, orthanc)
    pool: Pool = make_pool(ward.config)
    ward.promote(pool)
    pool.start("serve", "--readings", "0")
    routine, urgent, stat = (ward.scan(pool, one) for one in ("routine", "urgent", "stat"))
    pool.await_true(lambda: pool.count_queued() == 3, 60, "three queued readings")
    ward.hold()
    first = pool.start("worker")
    pool.await_true(lambda: pool.matched() == [stat], 60, "the most urgent one in the model")
    second, third = pool.start_all(("worker",), ("worker",))
    pool.await_true(lambda: set(pool.matched()) == {stat, urgent, routine}, 60, "three readings")
    late = [ward.scan(pool, one) for one in ("routine", "routine", "urgent")]
    pool.await_true(lambda: pool.count_queued() == 3, 60, "three more queued readings")
    assert lose_one(pool, ward, first) < PROMISED_S
    assert [second.poll(), third.poll()] == [None, None]
    assert late[2] in pool.matched()[3:5], "the two that are left begin with the more urgent one"
    assert len(pool.matched()) == 6, "what was done before the kill is not done again"
    ward.check_whole(pool)
    assert all(row == (1,) for row in pool.ask("SELECT attempts FROM delivery"))
    [(code,)] = pool.ask("SELECT code FROM event WHERE stage = 'work'")
    assert code == "worker-lost"


def test_who_was_taken_for_dead_ends_and_who_is_stopped_leaves(make_pool) -> None:
    pool: Pool = make_pool()
    still, watching = pool.start_all(("worker",), ("worker",))
    name = pool.worker_id(still)
    still.send_signal(signal.SIGSTOP)
    # As if it had stood still for a minute.
    pool.ask("UPDATE worker SET beat_at = beat_at - 60 WHERE id = %s RETURNING 1", name)
    pool.await_true(lambda: name not in pool.workers(), 60, "the burial")
    still.send_signal(signal.SIGCONT)
    assert still.wait(30) == 75
    assert watching.poll() is None
    watching.terminate()
    assert watching.wait(60) == 0
    assert pool.workers() == []


def test_a_worker_without_a_shared_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wetread.toml").write_text('data = "data"\n')
    command = [WETREAD, "worker", "--config", str(tmp_path / "wetread.toml")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert outcome.returncode == 1
    assert "store.database" in outcome.stderr
    assert not (tmp_path / "data").exists()
