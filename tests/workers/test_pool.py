"""Several real processes share one queue on a real PostgreSQL; one is taken for dead."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.postgres import requires_postgresql
from tests.workers.pool import WETREAD, Pool

pytestmark = requires_postgresql


def test_who_was_taken_for_dead_and_wakes_up_ends(make_pool) -> None:
    pool: Pool = make_pool()
    stopped, watching = pool.start("worker"), pool.start("worker")
    name = pool.worker_id(stopped)
    stopped.send_signal(signal.SIGSTOP)
    # As if it had stood still for a minute.
    pool.ask("UPDATE worker SET beat_at = beat_at - 60 WHERE id = %s RETURNING 1", name)
    pool.await_true(lambda: name not in pool.workers(), 30, "the burial")
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(30) == 75
    assert watching.poll() is None


def test_what_is_stopped_leaves_at_once(make_pool) -> None:
    pool: Pool = make_pool()
    process = pool.start("worker")
    process.terminate()
    assert process.wait(60) == 0
    assert pool.workers() == []


def test_a_worker_without_a_shared_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wetread.toml").write_text('data = "data"\n')
    command = [WETREAD, "worker", "--config", str(tmp_path / "wetread.toml")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert outcome.returncode == 1
    assert "store.database" in outcome.stderr
    assert not (tmp_path / "data").exists()
