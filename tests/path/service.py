"""A real `wetread serve` in a process of its own, and what a test asks of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.promoted import make_configured_live
from tests.stores import open_store, store_table
from wetread.domain.progress import DeliveryState, StudyState
from wetread.store import Store

PAUSE = threading.Event()


def await_true(condition: Callable[[], Any], timeout_s: float, what: str = "it") -> Any:
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        PAUSE.wait(0.05)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


@dataclass
class Service:
    """One data folder, and the process that serves it now."""

    folder: Path
    dicom_port: int
    http_port: int
    config: str
    #: More lines of the table [dicom].
    dicom: str = ""
    #: Beside that of the test.
    environment: dict[str, str] = field(default_factory=dict)
    #: What stands before "serve".
    program: tuple[str, ...] = (str(Path(sys.executable).parent / "wetread"),)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self.begin()
        await_true(self.is_up, 60, f"the service ({self.log})")

    def begin(self) -> None:
        """Start its process, and wait for nothing."""
        path = self.folder / "wetread.toml"
        path.write_text(
            f'data = "data"\n{self.config}\n[dicom]\nport = {self.dicom_port}\n{self.dicom}\n'
            f"[web]\nport = {self.http_port}\n{store_table(self.data)}"
        )
        make_configured_live(path, self.data)
        command = [*self.program, "serve", "--config", str(path)]
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | self.environment
            )

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()[-2000:]

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            self.get("/health")
            return True
        return False

    def get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())

    def kill(self) -> None:
        """As a power failure of the process: nothing is said good-bye to."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """The index, as another process sees it."""
        opened = open_store(self.data)
        try:
            yield opened
        finally:
            opened.close()

    def await_state(self, study: str, *states: StudyState, revision: int = 1, timeout_s: float = 240) -> None:
        def reached() -> bool:
            with self.store() as store:
                row = store.studies.find(study)
                return row is not None and row.revision >= revision and row.state in states

        await_true(reached, timeout_s, f"{study} {states}")

    def await_delivered(self, study: str, revision: int = 1, timeout_s: float = 300) -> None:
        final = {DeliveryState.SENT, DeliveryState.VERIFIED}

        def reached() -> bool:
            with self.store() as store:
                rows = store.deliveries.list_for_study(study)
                newest = [row for row in rows if row.revision == revision]
                return bool(newest) and all(row.state in final for row in newest)

        await_true(reached, timeout_s, f"delivery of {study}")

    def events(self, study: str) -> list[str]:
        with self.store() as store:
            return [f"{event.stage}: {event.message}" for event in store.history.list_for_study(study)]
