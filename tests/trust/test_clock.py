"""The wall clock jumps under a service: nothing waits longer, nothing ends sooner, nothing comes twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.path.service import await_true
from tests.stores import open_store
from tests.trust.chaos import Mode
from tests.trust.disk import requires_gcc
from tests.trust.scene import PROMPTLY_S, QUIET_S, Scene, scene_in
from tests.trust.sender import echo
from tests.trust.wall_clock import DAY_S, HOUR_S, WallClock, make_wall_clock
from wetread.identity.roles import Role
from wetread.identity.sessions import Sessions
from wetread.identity.settings import SignInSettings

pytestmark = requires_gcc

JUMPS = {"day-forward": DAY_S, "day-back": -DAY_S, "hour-back": -HOUR_S}


@dataclass
class Jumping:
    """A service, and what it takes for the time."""

    scene: Scene
    clock: WallClock
    offset_s: int = 0

    def jump(self, by_s: int) -> None:
        """Let the clock jump; returns when the service has answered at both doors since."""
        self.offset_s += by_s
        self.clock.set(self.offset_s)
        assert echo(self.scene.service.dicom_port) == 0
        self.scene.service.get("/health")


@pytest.fixture(scope="module")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jumping]:
    folder = tmp_path_factory.mktemp("clock")
    clock = make_wall_clock(folder)
    with scene_in(folder, clock.environment()) as scene:
        yield Jumping(scene, clock)


@pytest.mark.parametrize("jump_s", JUMPS.values(), ids=JUMPS.keys())
def test_at_each_moment_of_a_study(jumping: Jumping, jump_s: int) -> None:
    """While it arrives, is read, is sent, and waits for the next try: the clock jumps, each time further."""
    scene = jumping.scene
    number = 1 + list(JUMPS.values()).index(jump_s)
    scene.peer.misbehave(Mode.OUT_OF_RESOURCES)
    with scene.sending(number) as send:
        send(slice(3))
        jumping.jump(jump_s)
        # Neither the association nor the study is taken for over.
        send(slice(3, None))
        began = time.monotonic()
    with scene.reading():
        assert QUIET_S - 0.5 < time.monotonic() - began < PROMPTLY_S
        jumping.jump(jump_s)
    assert scene.peer.is_tried.wait(PROMPTLY_S)
    # The wait begins when the try ends: not before now, however late we hear of it.
    began = time.monotonic()
    await_true(lambda: scene.attempts(number) == {1}, PROMPTLY_S, "the outcome of the first try")
    scene.peer.misbehave(Mode.SLOW)
    jumping.jump(jump_s)
    assert scene.peer.is_tried.wait(PROMPTLY_S)
    # No lower bound: a peer that answers something else meanwhile is tried again at once.
    assert time.monotonic() - began < PROMPTLY_S
    # In the middle of the second try.
    jumping.jump(jump_s)
    scene.peer.is_good.set()
    scene.await_sent(number)
    assert scene.attempts(number) <= {2, 3}
    scene.check_once(number)
    jumping.jump(-jumping.offset_s)


def test_the_audit_trail_holds_over_all_of_it(jumping: Jumping) -> None:
    service = jumping.scene.service
    command = [str(Path(sys.executable).parent / "wetread"), "audit", "verify"]
    command += ["--config", str(service.folder / "wetread.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    with service.store() as store:
        problems = {event.code for event in store.history.list_newest() if event.level == "problem"}
    assert problems <= {"delivery-failed", "not-acknowledged", "peer-unreachable"}, problems


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
