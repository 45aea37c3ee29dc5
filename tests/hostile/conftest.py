"""One real service for all rows, with a model that reads whatever makes a volume."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hostile.build import Object, series_of
from tests.hostile.wire import Association, echo
from tests.path.service import Service, await_true
from tests.ports import free_port
from wetread.domain.progress import StudyState
from wetread.domain.study import study_key

#: Growth of the service's memory that one attack may cause, in bytes.
MEMORY_BYTES = 200 << 20
#: Longest answer to C-ECHO after an attack, in s.
ECHO_S = 1.0
#: The same while the attack goes on; two threads share one interpreter on a busy machine.
BUSY_ECHO_S = 5.0
_BETWEEN_ECHOES_S = 0.05

_MODEL = """
name = "reads-anything"
version = "1.0.0"
title = "Reads anything"
intended_use = "Testing."
state = "live"
operating_point = "default"
[eligibility]
modalities = ["CT"]
orientations = ["axial", "coronal", "sagittal"]
minimum_slices = 1
maximum_slice_spacing_mm = 1000
maximum_slice_thickness_mm = 1000
minimum_extent_mm = 0
minimum_age_years = 0
maximum_age_years = 200
pixel_range = [-1e9, 1e9]
[runtime]
kind = "python"
entry = "reads_anything:read"
timeout_s = 60
memory_mb = 1024
"""
_READER = """
from wetread.domain.reading import Outcome, Reading


def read(request):
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point="default",
        outcome=Outcome.READ,
        problems=request.problems,
        grid=request.volume.grid,
        made_at=request.made_at,
    )
"""


@dataclass
class Target:
    """The service under attack, and what must not change about it."""

    service: Service
    hl7_port: int
    _before: dict[str, object] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        assert self.service.process is not None
        return self.service.process.pid

    def begin(self) -> None:
        """Remember how things are before an attack."""
        # proc(5): 5 sets the highest resident size back to the present one.
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self._before = {"memory": self._status("VmRSS"), "files": self._files()}

    def grown(self) -> int:
        """Return by how many bytes the service grew at its peak since ``begin``."""
        return self._status("VmHWM") - int(str(self._before["memory"]))

    def check(self) -> None:
        """Assert that the service lives, answers, and neither grew nor wrote elsewhere."""
        assert self.service.process is not None
        assert self.service.process.poll() is None, self.service.log
        started = time.monotonic()
        assert echo(self.service.dicom_port) == 0
        assert time.monotonic() - started < ECHO_S
        assert self.grown() <= MEMORY_BYTES, f"{self.grown() >> 20} MB"
        assert self._files() == self._before["files"]
        await_true(lambda: not list((self.service.data / "incoming").iterdir()), 20, "an empty spool")

    def send(self, objects: list[Object], calling: str) -> list[int]:
        """Send objects, one association each; return the statuses."""
        statuses = []
        for one in objects:
            with Association(self.service.dicom_port, one.sop_class, one.syntax, calling) as association:
                statuses.append(association.store(one.sop_class.encode(), one.sop_instance, one.data))
        return statuses

    def await_end(self, study: str) -> StudyState:
        """Return how a study ended; its page opens, and what was not read has a code."""

        def ended() -> StudyState | None:
            with self.service.store() as store:
                row = store.studies.find(study)
                is_over = row is not None and row.state in (StudyState.READ, StudyState.NOT_READ)
                return row.state if row is not None and is_over and row.covered_count else None

        state: StudyState = await_true(ended, 60, f"the end of {study}: {self.service.log}")
        detail = self.service.get(f"/api/v1/studies/{study_key(study)}")
        if state is StudyState.NOT_READ:
            assert "-" in str(detail), detail
        return state

    def get_page(self, path: str) -> str:
        """Return a page."""
        url = f"http://127.0.0.1:{self.service.http_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    def problems_of(self, sender: str) -> list[str]:
        """Return the codes of what was noted about a sender."""
        with self.service.store() as store:
            events = store.history.list_newest(1000)
        return [event.code for event in events if event.level == "problem" and sender in event.message]

    def _status(self, key: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))

    def _files(self) -> set[str]:
        """Everything around the data folder, and the names at its top."""
        around = {
            str(Path(folder, name).relative_to(self.service.folder.parent))
            for folder, _, names in os.walk(self.service.folder.parent)
            if self.service.data not in {Path(folder), *Path(folder).parents}
            for name in names
        }
        top = {path.name.removesuffix("-wal").removesuffix("-shm") for path in self.service.data.iterdir()}
        # The head of the audit trail is written beside itself, now and then, and takes its own place.
        return around | {name for name in top if not name.startswith(".audit.head.")}


class EchoMeter(threading.Thread):
    """Asks C-ECHO again and again while an attack goes on."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._stop_asking = threading.Event()
        self.slowest_s = 0.0

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stop_asking.is_set():
            started = time.monotonic()
            assert echo(self._port) == 0
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self._stop_asking.wait(_BETWEEN_ECHOES_S)

    def __enter__(self) -> EchoMeter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asking.set()
        self.join()


@contextlib.contextmanager
def start_target(folder: Path) -> Iterator[Target]:
    """Start the service in a folder of its own."""
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "model.toml").write_text(_MODEL)
    (package / "reads_anything.py").write_text(_READER)
    hl7_port = free_port()
    config = f"""
models = ["{package}"]
[study]
quiet_s = 0.3
[hl7]
port = {hl7_port}
[[rules]]
name = "any CT"
modality = "CT"
models = ["reads-anything"]
"""
    service = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=config)
    service.start()
    target = Target(service, hl7_port)
    # The first reading fills caches: it belongs to no attack.
    good = series_of()
    assert target.send(good, "FIRST") == [0, 0, 0]
    assert target.await_end(good[0].study) is StudyState.READ
    try:
        yield target
    finally:
        service.stop()


@pytest.fixture(scope="session")
def running_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with start_target(tmp_path_factory.mktemp("hostile") / "service") as target:
        yield target


@pytest.fixture
def target(running_target: Target) -> Iterator[Target]:
    """The service; after each attack it is looked whether it is well."""
    running_target.begin()
    yield running_target
    running_target.check()
