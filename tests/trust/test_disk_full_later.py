"""The disk refuses after an image was taken: the work waits, nothing is half there, nothing comes twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.path.service import await_true
from tests.store.test_store import arrive
from tests.stores import open_store
from tests.trust.chaos import Mode
from tests.trust.disk import BROKEN, FULL, READ_ONLY, Disk, build_disk, make_disk, requires_gcc
from tests.trust.quick import make_gate, study_uid
from tests.trust.scene import PROMPTLY_S, Scene, scene_in
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import DeliveryState
from wetread.store.audit_rows import AuditRows
from wetread.store.audit_verify import verify_index

pytestmark = [requires_gcc, pytest.mark.sqlite]

HASTY = (sys.executable, "-m", "tests.trust.hasty")
READINGS, DOCUMENTS, INDEX, AUDIT, ENGINE, ALL = (
    "/data/readings/",
    "/data/documents/",
    "/data/index.sqlite",
    "/data/audit.head",
    "/data/engine.sqlite",
    "/data/",
)
#: The index can say so, though the rest cannot be written.
VISIBLE = (READINGS, DOCUMENTS, AUDIT)


@dataclass
class Filling:
    """A service on a disk that refuses at will."""

    scene: Scene
    disk: Disk
    studies: int = 0

    def next_study(self) -> int:
        self.studies += 1
        return self.studies

    def await_refusals(self, more: int = 1) -> None:
        """Return when the service has tried some more in vain."""
        before = self.disk.refusals()
        await_true(lambda: self.disk.refusals() >= before + more, PROMPTLY_S, "what the disk refuses")


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filling]:
    folder = tmp_path_factory.mktemp("full")
    disk = make_disk(build_disk(folder), folder)
    with scene_in(disk.root, disk.environment(is_pictured=False), HASTY) as scene:
        yield Filling(scene, disk)
        disk.mend()


@pytest.mark.parametrize(
    ("number", "part"),
    [
        (FULL, READINGS),
        (BROKEN, READINGS),
        (BROKEN, DOCUMENTS),
        (FULL, INDEX),
        (FULL, AUDIT),
        (BROKEN, ENGINE),
        (FULL, ALL),
        (BROKEN, ALL),
    ],
    ids=lambda value: str(value).strip("/"),
)
def test_while_the_result_is_kept(filling: Filling, number: int, part: str) -> None:
    scene, disk, study = filling.scene, filling.disk, filling.next_study()
    scene.send(study)
    with scene.reading(is_last=True):
        disk.fail(number, part)
    filling.await_refusals()
    assert scene.states(study) <= {DeliveryState.WAITING}
    if part in VISIBLE:
        await_true(lambda: storage_problems(filling, study), PROMPTLY_S, "what holds it up")
    disk.mend()
    scene.await_sent(study)
    make_gate(scene.folder)
    check(filling, study)


@pytest.mark.parametrize(
    ("number", "part"),
    [(FULL, INDEX), (BROKEN, AUDIT), (FULL, ENGINE), (BROKEN, ALL), (FULL, ALL), (READ_ONLY, ALL)],
    ids=lambda value: str(value).strip("/"),
)
def test_while_an_acknowledgement_is_noted(filling: Filling, number: int, part: str) -> None:
    """The peer has it, and we cannot write that down: it is written later, and not sent again."""
    scene, disk, study = filling.scene, filling.disk, filling.next_study()
    scene.peer.misbehave(Mode.SLOW)
    scene.send(study)
    with scene.reading():
        pass
    assert scene.peer.is_tried.wait(PROMPTLY_S)
    disk.fail(number, part)
    scene.peer.is_good.set()
    filling.await_refusals()
    disk.mend()
    scene.await_sent(study)
    check(filling, study)


def check(filling: Filling, study: int) -> None:
    """All is there once, nothing half, and the audit trail tells of each."""
    filling.scene.check_once(study)
    data = filling.scene.service.data
    assert list(data.glob("*/??/.*")) == []
    assert list(data.glob(".*")) == []
    with filling.scene.service.store() as store:
        assert list(verify_index(store.engine, data / "audit.key", data / "audit.head")) == []
        messages = [one.message for one in AuditRows(store.engine).list_last(500, study=study_uid(study))]
        count = len(store.deliveries.list_for_study(study_uid(study)))
    for told in ("Reading kept.", f"{count} of {count} documents taken by pacs."):
        assert sum(told in message for message in messages) == 1, told


def storage_problems(filling: Filling, study: int) -> list[str]:
    with filling.scene.service.store() as store:
        events = store.history.list_for_study(study_uid(study))
    return [event.message for event in events if event.code == ProblemCode.STORAGE_ERROR]


def test_a_start_on_a_read_only_folder_says_what_to_do(disk: Disk) -> None:
    """It ends, nothing is lost, and it starts when the folder can be written again."""
    data = disk.root / "data"
    store = open_store(data)
    store.intake.accept(arrive(store, 1))
    store.close()
    disk.fail(READ_ONLY, ALL)
    command = [str(Path(sys.executable).parent / "wetread"), "serve", "--data", str(data)]
    environment = os.environ | disk.environment(is_pictured=False)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "mount it for writing" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    disk.mend()
    store = open_store(data)
    assert [row.instance_count for row in store.studies.list_newest()] == [1]
    store.close()
