"""A PACS is away for a day: others wait for nothing, it is tried as often as the table says, then gets all.

Everything is real but the clock: an hour passes when the test says so.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.path.service import await_true
from tests.ports import free_port
from tests.promoted import make_live
from tests.stores import open_store
from tests.trust.chaos import Chaos, Mode
from tests.trust.quick import study_uid, write_quick_model, write_quick_study
from wetread.deliver.destination import read_destination
from wetread.deliver.retry import RetryPlan
from wetread.dicom.header import read_instance
from wetread.dispatch import READ_WAITS_S, Dispatcher
from wetread.domain.progress import DeliveryState
from wetread.engine import Engine, engine_url
from wetread.infer.read import read_job
from wetread.match import parse_rules
from wetread.outbox import Outbox
from wetread.path import DELIVER_QUEUE, READ_QUEUE, StudyPath
from wetread.registry import read_package
from wetread.registry.lineup import Lineup
from wetread.steps import DeliverySteps, KeepingSteps, ReadingSteps, ShadowSteps
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow
from wetread.store.intake import Arrived
from wetread.store.retention import Policy, RetentionSettings
from wetread.waits import Backoff, Waits

STUDIES = 24
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
#: Between one study and the next; the first comes when the peer has just gone.
EVERY_S = DAY_S / STUDIES
QUIET_S = 10.0
#: Fewer tries than by default, so that the day is over soon: each takes as long as it takes.
PLAN = RetryPlan(waits_s=(60.0, 900.0), then_s=8 * HOUR_S)
#: No closer look than that: what is due within it is done together.
_STEP_S = 5.0
#: Python keeps some memory for itself.
MOST_MB = 24


@dataclass
class Clock:
    """The only one that anybody asks here."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wall(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.now_s)


@dataclass
class Day:
    """A service without doors, and two peers of which one is away."""

    store: Store
    dispatcher: Dispatcher
    clock: Clock
    away: Chaos
    healthy: Chaos
    folder: Path
    came_at: dict[str, float] = field(default_factory=dict)

    def take(self, number: int) -> None:
        """Take a study in."""
        self.came_at[study_uid(number)] = self.clock.now_s
        for file in write_quick_study(self.folder, number, images=3):
            path = self.store.intake.incoming / file.name
            shutil.copy(file, path)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            self.store.intake.accept(
                Arrived(
                    instance=read_instance(path),
                    content_digest=digest,
                    size=path.stat().st_size,
                    received_at=self.clock.wall(),
                    source="TEST",
                )
            )

    def look(self) -> None:
        """Do all that is due at this moment."""
        self.dispatcher.look()
        while self.dispatcher.engine.list_open():
            await_true(lambda: not self.dispatcher.engine.list_open(), 60, "the end of what runs")
            # What just ended waits from now on.
            self.dispatcher.look()

    def pass_time(self, until_s: float) -> None:
        """Let time pass, from one moment at which something is due to the next."""
        self.look()
        while self.clock.now_s < until_s:
            step_s = max(_STEP_S, self.dispatcher.rounds.next_due_s)
            self.clock.now_s = min(until_s, self.clock.now_s + step_s)
            self.look()

    def rows(self, name: str) -> list[DeliveryRow]:
        found = [row for uid in self.came_at for row in self.store.deliveries.list_for_study(uid)]
        return [row for row in found if row.destination == name]


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    clock = Clock()
    store = open_store(tmp_path / "data")
    peers = {"away": Chaos(Mode.RESET, free_port()), "healthy": Chaos(Mode.OUT_OF_RESOURCES, free_port())}
    peers["healthy"].is_good.set()
    write_quick_model(tmp_path)
    quick = read_package(tmp_path / "quick")
    make_live(store, quick)
    destinations = {
        name: read_destination(
            {
                "name": name,
                "to": f"CHAOS@127.0.0.1:{peer.port}",
                "verify": "none",
                "kinds": ["sr", "sc"],
            }
        )
        for name, peer in peers.items()
    }
    reading = ReadingSteps(
        store=store,
        lineup=Lineup([quick], store.model_states),
        rules=parse_rules([{"name": "all", "models": ["quick"]}]),
        destinations=destinations,
        run_job=lambda job: read_job(job)[0],
        clock=clock.wall,
        default_quiet_s=QUIET_S,
    )
    delivery = DeliverySteps(store=store, destinations=destinations, clock=clock.wall, retry=PLAN)
    shadow = ShadowSteps(
        store=store, lineup=reading.lineup, rules=reading.rules, run_job=reading.run_job, clock=clock.wall
    )
    path = StudyPath(reading, shadow, delivery, lambda job: engine.enqueue(job))
    queues = tuple(replace(queue, polling_interval_s=0.05) for queue in (READ_QUEUE, DELIVER_QUEUE))
    engine = Engine(engine_url(store.data), path.workflows(), queues)
    policy = Policy(settings=RetentionSettings(), asked_destinations=frozenset())
    dispatcher = Dispatcher(
        store,
        reading,
        delivery,
        engine,
        clock.wall,
        KeepingSteps(store=store, policy=policy, clock=clock.wall),
        waits=Waits(clock),
        outbox=Outbox(Waits(clock)),
        backoff=Backoff(READ_WAITS_S, Waits(clock)),
    )
    for peer in peers.values():
        peer.start()
    engine.start()
    yield Day(store, dispatcher, clock, peers["away"], peers["healthy"], tmp_path / "studies")
    engine.stop()
    for peer in peers.values():
        peer.stop()
    store.close()


def test_a_day_without_a_peer(day: Day) -> None:
    used = []
    day.look()
    for number in range(STUDIES):
        day.take(number)
        day.look()
        day.pass_time(day.clock.now_s + QUIET_S)
        assert len(arrived(day, "healthy")) == number + 1, "the healthy one waits for nothing"
        day.pass_time((number + 1) * EVERY_S)
        used.append((memory_mb(), threading.active_count()))
    check_tries(day)
    # The first hours fill caches.
    early, late = used[STUDIES // 4], used[-1]
    assert late[0] - early[0] < MOST_MB
    assert late[1] <= early[1] + 1
    assert len(day.dispatcher.outbox._taken) <= STUDIES
    assert len(day.dispatcher.outbox.waits._seen) <= STUDIES
    day.away.become_good()
    day.pass_time(DAY_S + PLAN.then_s * 1.2)
    check_drained(day)


def check_tries(day: Day) -> None:
    """Each study was tried as often as its table of waits allows, and not much seldomer."""
    attempts = {row.study_instance_uid: row.attempts for row in day.rows("away")}
    assert {row.state for row in day.rows("away")} == {DeliveryState.WAITING}
    assert set(attempts) == set(day.came_at)
    for study, count in attempts.items():
        most = tries_within(DAY_S - day.came_at[study] - QUIET_S, f"{study}/away")
        assert most - 1 <= count <= most
    assert day.away.connections == sum(attempts.values())


def tries_within(elapsed_s: float, key: str) -> int:
    tries, at_s = 1, 0.0
    while (at_s := at_s + (PLAN.delay_s(tries, key) or DAY_S)) <= elapsed_s:
        tries += 1
    return tries


def check_drained(day: Day) -> None:
    """All is there, each object once; whoever found the peer back comes first, the others in order."""
    for peer, name in ((day.away, "away"), (day.healthy, "healthy")):
        assert {row.state for row in day.rows(name)} == {DeliveryState.SENT}
        assert len(peer.got) == len(set(peer.got)) == len(day.rows(name))
    order = arrived(day, "away")
    assert order[1:] == sorted(set(order) - {order[0]})
    assert arrived(day, "healthy") == list(range(STUDIES))


def arrived(day: Day, name: str) -> list[int]:
    """Return the studies of which a peer has something, in order."""
    peer = day.away if name == "away" else day.healthy
    numbers = {study_uid(number): number for number in range(STUDIES)}
    owner = {
        day.store.readings.get_document(row.document_id).sop_instance_uid: numbers[row.study_instance_uid]
        for row in day.rows(name)
    }
    return list(dict.fromkeys(owner[uid] for uid in peer.got))


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
