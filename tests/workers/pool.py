"""A `wetread serve` that only takes images, and `wetread worker` processes beside it, on one PostgreSQL.

In: a folder, a database, lines of wetread.toml.  Out: processes, and what a test asks the tables.
Never: a process that outlives its test.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.path.service import await_true
from tests.ports import free_port
from tests.postgres import Cluster
from wetread.store import Store, open_store
from wetread.store.settings import StoreSettings, read_database_url

WETREAD = str(Path(sys.executable).parent / "wetread")


@dataclass
class Pool:
    folder: Path
    cluster: Cluster
    database: str
    config: str
    dicom_port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        secret = self.folder / "database-url"
        secret.touch(mode=0o600)
        secret.write_text(self.cluster.create(self.database) + "\n")
        (self.folder / "wetread.toml").write_text(
            f'data = "data"\n{self.config}\n[store]\ndatabase_file = "database-url"\n'
            f"[dicom]\nport = {self.dicom_port}\n[web]\nport = {free_port()}\n"
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `wetread WORDS`; returns when it is entered as a worker."""
        [process] = self.start_all(words)
        return process

    def start_all(self, *commands: tuple[str, ...]) -> list[subprocess.Popen[bytes]]:
        """Start several at once; returns when all are entered as workers."""
        begun = [self._begin(*words) for words in commands]
        await_true(lambda: all(map(self.is_entered, begun)), 120, f"{commands} ({self.log})")
        if any(words[0] == "serve" for words in commands):
            await_true(self.takes_images, 60, f"the receiver ({self.log})")
        return begun

    def _begin(self, *words: str) -> subprocess.Popen[bytes]:
        command = [WETREAD, words[0], "--config", str(self.folder / "wetread.toml"), *words[1:]]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy())
        self.processes.append(process)
        return process

    def takes_images(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.dicom_port), timeout=5).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()[-4000:] if (self.folder / "log").exists() else ""

    def ask(self, query: str, *values: Any) -> list[Any]:
        with self.cluster.connect(self.database) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def workers(self) -> list[str]:
        if not self.ask("SELECT 1 FROM pg_tables WHERE tablename = 'worker'"):
            return []
        return [row[0] for row in self.ask("SELECT id FROM worker")]

    def is_entered(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log
        return any(f"-{process.pid}-" in name for name in self.workers())

    def worker_id(self, process: subprocess.Popen[bytes]) -> str:
        [name] = [name for name in self.workers() if f"-{process.pid}-" in name]
        return name

    def running(self, process: subprocess.Popen[bytes]) -> list[str]:
        """Keys of the readings that a process has begun and not ended."""
        query = (
            "SELECT workflow_uuid FROM dbos.workflow_status"
            " WHERE status = 'PENDING' AND name = 'read_study' AND executor_id = %s"
        )
        return [row[0] for row in self.ask(query, self.worker_id(process))]

    def count_queued(self) -> int:
        """Return how many readings wait for somebody to begin them."""
        query = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'ENQUEUED' AND name = 'read_study'"
        [(count,)] = self.ask(query)
        return int(count)

    def matched(self) -> list[str]:
        """Return the studies whose reading got as far as the model, in order."""
        rows = self.ask("SELECT study_instance_uid FROM event WHERE stage = 'match' ORDER BY id")
        return [row[0] for row in rows]

    def states(self) -> list[str]:
        return [row[0] for row in self.ask("SELECT state FROM study")]

    def is_done(self) -> bool:
        """Tell whether all studies are read and all results acknowledged."""
        waiting = "SELECT count(*) FROM delivery WHERE state NOT IN ('sent', 'verified')"
        return set(self.states()) == {"read"} and self.ask(waiting) == [(0,)]

    def store(self) -> Store:
        url = read_database_url(StoreSettings(database=self.cluster.url(self.database)))
        return open_store(self.folder / "data", url)

    def await_true(self, condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        return await_true(condition, timeout_s, f"{what} ({self.log})")

    def stop(self) -> None:
        """End all at once: how a process ends in good order has a test of its own."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait(60)
