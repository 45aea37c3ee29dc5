"""What the index says is due is begun, whatever became of an earlier job."""

import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.domain.test_reading import make_reading
from tests.path.test_engine import await_true
from tests.path.test_steps import NOW, STUDY, begin, make_steps
from tests.store.test_store import arrive
from tests.stores import open_store
from wetread.dispatch import READ_WAITS_S, Dispatcher
from wetread.domain.audit import Actor
from wetread.domain.document import Document, DocumentKind
from wetread.domain.fetching import Purpose
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.engine import Engine, engine_url
from wetread.errors import NotNow
from wetread.match import parse_rules
from wetread.path import DELIVER_QUEUE, READ_QUEUE, delivery_job, reading_job
from wetread.steps import DeliverySteps, KeepingSteps
from wetread.steps.again import read_again
from wetread.store import Store, schema
from wetread.store.retention import Policy, RetentionSettings
from wetread.waits import Backoff, Waits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    opened.intake.accept(arrive(opened, 1))
    yield opened
    opened.close()


@pytest.fixture
def ran() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def dispatcher(store: Store, ran: list[tuple[int, int]]) -> Iterator[Dispatcher]:
    """A dispatcher over a real engine whose readings only note that they ran."""

    def read_study(_step: object, _study: str, revision: int, attempt: int) -> None:
        ran.append((revision, attempt))

    workflows = {"read_study": read_study, "deliver": lambda *_arguments: None}
    engine = Engine(engine_url(store.data), workflows, (READ_QUEUE, DELIVER_QUEUE))
    engine.start()
    steps = make_steps(store)
    delivery = DeliverySteps(store=store, destinations={}, clock=lambda: NOW)
    policy = Policy(settings=RetentionSettings(), asked_destinations=frozenset())
    keeping = KeepingSteps(store=store, policy=policy, clock=lambda: NOW)
    yield Dispatcher(store, steps, delivery, engine, lambda: NOW, keeping)
    engine.stop()


LETTER = Document(
    kind=DocumentKind.TEXT,
    ordinal=1,
    sop_instance_uid="1.9.9",
    sop_class_uid="",
    series_instance_uid="",
    title="Letter",
    data=b"letter",
)


def give_up(store: Store, key: str, state: str) -> None:
    with sqlite3.connect(store.data / "engine.sqlite", timeout=10) as database:
        database.execute("update workflow_status set status = ? where workflow_uuid = ?", (state, key))


def test_a_revision_that_was_never_enqueued_is_found(store: Store, dispatcher: Dispatcher, ran) -> None:
    begin(store, 2)
    dispatcher.look()
    await_true(lambda: ran == [(1, 1)])


def test_what_somebody_wants_read_again_is_begun_once(store: Store, dispatcher: Dispatcher, ran) -> None:
    begin(store, 2)
    actor = Actor(user_id="anna", is_requestor=True)
    with pytest.raises(NotNow):
        read_again(store, store.studies.find(STUDY), (), actor, NOW)
    store.studies.finish_revision(STUDY, 1, StudyState.READ, NOW)
    rules = parse_rules([{"models": ["chest-ct"], "modality": "CT", "urgency": "stat"}])
    assert read_again(store, store.studies.find(STUDY), rules, actor, NOW) == 2
    dispatcher.look()
    dispatcher.look()
    await_true(lambda: ran == [(2, 1)])
    row = store.studies.find(STUDY)
    assert (row.state, row.urgency, row.urgency_rule) == (StudyState.READING, Priority.STAT, "rule 1")
    assert store.studies.get_revision(STUDY, 2).instance_count == 2
    [told] = [one.message for one in store.history.list_for_study(STUDY) if one.revision == 2]
    assert told == "2 images read again, asked for by anna."
    store.intake.accept(arrive(store, 3))
    store.studies.finish_revision(STUDY, 2, StudyState.READ, NOW)
    with pytest.raises(NotNow):
        read_again(store, store.studies.find(STUDY), rules, actor, NOW)


def test_killed_too_often_is_begun_anew(store: Store, dispatcher: Dispatcher, ran) -> None:
    begin(store, 2)
    job = reading_job(STUDY, 1, Priority.ROUTINE)
    dispatcher.engine.enqueue(job)
    await_true(lambda: dispatcher.engine.find_state(job.key) == "SUCCESS")
    give_up(store, job.key, "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
    dispatcher.look()
    await_true(lambda: len(ran) == 2)
    assert store.studies.find(STUDY).state is StudyState.READING


def test_a_job_that_failed_stops_its_study_visibly(store: Store, dispatcher: Dispatcher, ran) -> None:
    begin(store, 2)
    job = reading_job(STUDY, 1, Priority.ROUTINE)
    dispatcher.engine.enqueue(job)
    await_true(lambda: dispatcher.engine.find_state(job.key) == "SUCCESS")
    give_up(store, job.key, "ERROR")
    dispatcher.look()
    assert store.studies.find(STUDY).state is StudyState.NOT_READ
    assert [event.level for event in store.history.list_for_study(STUDY)] == ["problem"]


def test_what_cannot_be_kept_is_read_again_at_growing_intervals(
    store: Store, dispatcher: Dispatcher, ran
) -> None:
    """As with a full disk: the job ends well, the revision stays unfinished."""
    at = [0.0]
    patient = dataclasses.replace(dispatcher, backoff=Backoff(READ_WAITS_S, Waits(lambda: at[0])))
    begin(store, 2)

    def look_when_idle() -> int:
        await_true(lambda: not dispatcher.engine.list_open("read/"))
        patient.look()
        await_true(lambda: not dispatcher.engine.list_open("read/"))
        return len(ran)

    assert look_when_idle() == 1
    for tries, wait_s in enumerate((*READ_WAITS_S, READ_WAITS_S[-1]), start=1):
        # The wait begins when the end is seen.
        assert look_when_idle() == tries
        at[0] += wait_s - 0.1
        assert look_when_idle() == tries
        at[0] += 0.2
        assert look_when_idle() == tries + 1


def test_what_a_backfill_brings_is_delivered_behind_everything_live(
    store: Store, dispatcher: Dispatcher
) -> None:
    begin(store, 2)
    reading = store.readings.save(dataclasses.replace(make_reading(), study_instance_uid=STUDY)).id
    store.readings.save_documents(reading, [LETTER])
    documents = [one.id for one in store.readings.list_documents(reading)]
    store.deliveries.plan(STUDY, 1, documents, "pacs", NOW)
    live = dispatcher.delivery.turn(STUDY, 1, "pacs")
    assert [one.turn for one in dispatcher._list_parcels()] == [live]
    with store.engine.begin() as connection:
        connection.execute(update(schema.study).values(purpose=Purpose.BACKFILL.value))
    behind = dispatcher.delivery.turn(STUDY, 1, "pacs")
    assert [one.turn for one in dispatcher._list_parcels()] == [behind]
    later = delivery_job("1.2.3", 1, "pacs", attempt=1, turn=live + 1_000_000)
    assert later.priority < delivery_job(STUDY, 1, "pacs", attempt=1, turn=behind).priority
