"""The wall clock jumps under a service: nothing waits longer, nothing ends sooner, nothing comes twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pynetdicom.dsutils import split_dataset

from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.stores import open_store
from tests.trust.chaos import Chaos, Mode
from tests.trust.disk import requires_gcc
from tests.trust.quick import configure_quick, make_gate, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender, echo
from tests.trust.wall_clock import DAY_S, HOUR_S, WallClock, make_wall_clock
from wetread.deliver.cstore import read_item
from wetread.domain.progress import DeliveryState, StudyState
from wetread.identity.roles import Role
from wetread.identity.sessions import Sessions
from wetread.identity.settings import SignInSettings

pytestmark = requires_gcc

#: With margin for a machine that has other work: each takes a few seconds.
PROMPTLY_S = 30.0
QUIET_S = 1
WAIT_S = 2
JUMPS = {"day-forward": DAY_S, "day-back": -DAY_S, "hour-back": -HOUR_S}


@dataclass
class Scene:
    """A service under a clock that jumps, a peer, and a model that waits at a gate."""

    service: Service
    clock: WallClock
    peer: Chaos
    gate: Path
    folder: Path
    offset_s: int = 0

    @contextmanager
    def sending(self, number: int) -> Iterator[Callable[[slice], None]]:
        """Yield what sends some images of a study, all over one association."""
        files = write_quick_study(self.folder, number)
        first = read_item(files[0])
        with Sender(self.service.dicom_port, first.sop_class_uid, first.transfer_syntax_uid) as sender:

            def send(which: slice) -> None:
                for path in files[which]:
                    _, offset = split_dataset(path)
                    assert sender.store(read_item(path).sop_instance_uid, path.read_bytes()[offset:]) == 0

            yield send

    def jump(self, by_s: int) -> None:
        """Let the clock jump; returns when the service has answered at both doors since."""
        self.offset_s += by_s
        self.clock.set(self.offset_s)
        assert echo(self.service.dicom_port) == 0
        self.service.get("/health")

    def states(self, number: int) -> set[DeliveryState]:
        with self.service.store() as store:
            return {row.state for row in store.deliveries.list_for_study(study_uid(number))}

    def attempts(self, number: int) -> set[int]:
        with self.service.store() as store:
            return {row.attempts for row in store.deliveries.list_for_study(study_uid(number))}

    def check_once(self, number: int) -> None:
        """One revision, one reading, each document once at the peer; no problem that nobody made."""
        study = study_uid(number)
        with self.service.store() as store:
            row = store.studies.find(study)
            assert row is not None
            assert (row.revision, row.state) == (1, StudyState.READ)
            [reading] = store.readings.list_for_study(study)
            deliveries = store.deliveries.list_for_study(study)
            uids = [store.readings.get_document(one.document_id).sop_instance_uid for one in deliveries]
            stages = Counter(event.stage for event in store.history.list_for_study(study))
        assert reading.finding_count == 1
        assert stages["infer"] == 1
        got = Counter(self.peer.got)
        assert {uid: got[uid] for uid in uids} == dict.fromkeys(uids, 1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("clock")
    write_quick_model(folder)
    clock = make_wall_clock(folder)
    peer = Chaos(Mode.OUT_OF_RESOURCES, free_port())
    peer.is_good.set()
    config = f"""{configure_quick(folder)}
[[destinations]]
name = "pacs"
to = "CHAOS@127.0.0.1:{peer.port}"
verify = "none"
[study]
quiet_s = {QUIET_S}
[delivery]
waits_s = [{WAIT_S}]
then_s = {WAIT_S}
"""
    (folder / "service").mkdir()
    service = Service(
        folder=folder / "service",
        dicom_port=free_port(),
        http_port=free_port(),
        config=config,
        environment=clock.environment(),
    )
    peer.start()
    service.start()
    gate = make_gate(folder)
    yield Scene(service, clock, peer, gate, folder)
    let_go(gate)
    service.stop()
    peer.stop()


@pytest.mark.parametrize("jump_s", JUMPS.values(), ids=JUMPS.keys())
def test_at_each_moment_of_a_study(scene: Scene, jump_s: int) -> None:
    """While it arrives, is read, is sent, and waits for the next try: the clock jumps, each time further."""
    number = 1 + list(JUMPS.values()).index(jump_s)
    scene.peer.misbehave(Mode.OUT_OF_RESOURCES)
    with scene.sending(number) as send:
        send(slice(3))
        scene.jump(jump_s)
        # Neither the association nor the study is taken for over.
        send(slice(3, None))
        began = time.monotonic()
    # Whoever opens it waits until the model is there, and the model until it is closed.
    with scene.gate.open("wb"):
        assert QUIET_S - 0.5 < time.monotonic() - began < PROMPTLY_S
        scene.jump(jump_s)
    assert scene.peer.is_tried.wait(PROMPTLY_S)
    await_true(lambda: scene.attempts(number) == {1}, PROMPTLY_S, "the outcome of the first try")
    began = time.monotonic()
    scene.peer.misbehave(Mode.SLOW)
    scene.jump(jump_s)
    assert scene.peer.is_tried.wait(PROMPTLY_S)
    assert WAIT_S - 1 < time.monotonic() - began < PROMPTLY_S
    # In the middle of the second try.
    scene.jump(jump_s)
    scene.peer.is_good.set()
    await_true(lambda: scene.states(number) == {DeliveryState.SENT}, PROMPTLY_S, "the delivery")
    assert scene.attempts(number) == {2}
    scene.check_once(number)
    scene.jump(-scene.offset_s)


def test_the_audit_trail_holds_over_all_of_it(scene: Scene) -> None:
    command = [str(Path(sys.executable).parent / "wetread"), "audit", "verify"]
    command += ["--config", str(scene.service.folder / "wetread.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    with scene.service.store() as store:
        problems = {event.code for event in store.history.list_newest() if event.level == "problem"}
    assert problems <= {"delivery-failed", "not-acknowledged"}, problems


def let_go(gate: Path) -> None:
    """Let whatever waits at the gate go on: after a failure the service could not stop."""
    descriptor = os.open(gate, os.O_RDWR | os.O_NONBLOCK)
    gate.unlink()
    os.close(descriptor)


def test_a_session_of_the_future_is_over(tmp_path: Path) -> None:
    """Opened or used while the clock was a day ahead: it must not live a day longer."""
    store = open_store(tmp_path / "data")
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    sessions = Sessions(store.accounts, SignInSettings())
    account = store.accounts.add("ada", Role.RADIOLOGIST.value, now)
    ahead = sessions.open(account.id, now + timedelta(days=1))
    used = sessions.open(account.id, now)
    assert sessions.resolve(used, now + timedelta(minutes=5), is_activity=True) is not None
    right = sessions.open(account.id, now)
    # A second back, as a clock that is set by steps goes.
    assert sessions.resolve(right, now - timedelta(seconds=1), is_activity=True) is not None
    assert sessions.resolve(ahead, now, is_activity=True) is None
    assert sessions.resolve(used, now, is_activity=True) is None
    assert sessions.resolve(right, now, is_activity=True) is not None
    store.close()
