"""The line of readings in a real engine: who is in front, who is taken out."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.path.test_engine import await_true
from tests.path.test_steps import NOW, make_steps
from tests.stores import database_url, open_store
from tests.web.conftest import Ward
from wetread.domain.audit import Actor
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.engine import Engine, engine_url
from wetread.errors import NotNow, StorageError
from wetread.jobs import Jobs
from wetread.path import READ_QUEUE, follow_urgency, reading_job
from wetread.steps.places import call_off, find_urgency, give_priority
from wetread.steps.queueing import look_at_queue
from wetread.store import Store

ANNA = Actor(user_id="anna", is_requestor=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def order() -> list[str]:
    return []


@pytest.fixture
def engine(store: Store, gate: threading.Event, order: list[str]) -> Iterator[Engine]:
    """One reading at a time, each of which waits at the gate."""

    def read_study(_step: object, study: str, _revision: int, _attempt: int) -> None:
        order.append(study)
        gate.wait(30)

    url = database_url(store.data) or engine_url(store.data)
    made = Engine(url, {"read_study": read_study}, (READ_QUEUE,))
    made.start()
    yield made
    gate.set()
    made.stop()


def queue(store: Store, engine: Engine, *uids: str) -> None:
    ward = Ward(store)
    for uid in uids:
        ward.send(uid)
        ward.begin(uid)
        engine.enqueue(reading_job(uid, 1, Priority.ROUTINE))


def find(store: Store, uid: str):
    row = store.studies.find(uid)
    assert row is not None
    return row


def test_the_rows_tell_what_runs_and_what_waits(store: Store, engine: Engine, order: list[str]) -> None:
    before = datetime.now(UTC).timestamp()
    queue(store, engine, "1.2.1", "1.2.2")
    await_true(lambda: order == ["1.2.1"])
    await_true(lambda: engine.jobs.list_open("read/")[0].is_running)
    running, waiting = engine.jobs.list_open("read/")
    assert (running.key, running.worker) == ("read/1.2.1/1/1", "local")
    assert (waiting.key, waiting.is_running, waiting.worker, waiting.priority) == (
        "read/1.2.2/1/1", False, "", 30,
    )  # fmt: skip
    assert before - 1 <= running.since <= datetime.now(UTC).timestamp() + 1
    assert engine.jobs.list_open("deliver/") == []
    line = look_at_queue(store, engine.jobs.list_open("read/"), NOW, failures=5)
    assert [one.study.study_instance_uid for one in line.reading] == ["1.2.1"]
    assert [(one.study.study_instance_uid, one.position) for one in line.waiting] == [("1.2.2", 1)]


def test_where_no_engine_has_run_nothing_waits(tmp_path: Path) -> None:
    assert Jobs(engine_url(tmp_path)).list_open("read/") == []
    assert not Jobs(engine_url(tmp_path)).put("read/1/1/1", 10)
    with pytest.raises(StorageError):
        Jobs(engine_url(tmp_path / "nowhere")).list_open("read/")


def test_who_is_given_a_priority_is_read_before_the_others(
    store: Store, engine: Engine, gate: threading.Event, order: list[str]
) -> None:
    queue(store, engine, "1.2.1", "1.2.2", "1.2.3", "1.2.4")
    await_true(lambda: order == ["1.2.1"])
    give_priority(store, find(store, "1.2.4"), Priority.STAT, "Called by the ward.", ANNA, NOW)
    # What is read already keeps its place.
    give_priority(store, find(store, "1.2.1"), Priority.STAT, "Called by the ward.", ANNA, NOW)
    store.studies.set_urgency("1.2.3", Priority.URGENT, "a rule")
    assert find_urgency(store, "1.2.4") is Priority.STAT
    follow_urgency(store, engine.jobs)
    places = {one.key: one.priority for one in engine.jobs.list_open("read/")}
    assert places == {
        "read/1.2.1/1/1": 30, "read/1.2.2/1/1": 30, "read/1.2.3/1/1": 20, "read/1.2.4/1/1": 10,
    }  # fmt: skip
    gate.set()
    await_true(lambda: len(order) == 4)
    assert order == ["1.2.1", "1.2.4", "1.2.3", "1.2.2"]
    give_priority(store, find(store, "1.2.4"), None, "", ANNA, NOW)
    assert find_urgency(store, "1.2.4") is Priority.ROUTINE


@pytest.mark.parametrize("why", ["", "   "])
def test_no_priority_without_a_reason(store: Store, why: str) -> None:
    Ward(store).send("1.2.1")
    with pytest.raises(NotNow):
        give_priority(store, find(store, "1.2.1"), Priority.STAT, why, ANNA, NOW)
    assert store.room.priorities(["1.2.1"]) == {}


def test_what_is_called_off_is_not_read_whoever_is_quicker(store: Store) -> None:
    ward, steps = Ward(store), make_steps(store)
    for uid in ("1.2.1", "1.2.2"):
        ward.send(uid)
        ward.begin(uid)
    call_off(store, find(store, "1.2.1"), ANNA, NOW)
    assert not steps.is_newest("1.2.1", 1)
    # Its job had begun before: what it decides comes too late.
    assert steps.match("1.2.1", 1) == []
    assert store.studies.get_revision("1.2.1", 1).match is None
    assert find(store, "1.2.1").state is StudyState.NOT_READ
    event = store.history.list_for_study("1.2.1")[-1]
    assert (event.code, event.revision) == (ProblemCode.READING_CALLED_OFF.value, 1)
    # The other way round: a model is chosen, and the study is not called off any more.
    assert steps.is_newest("1.2.2", 1)
    steps.match("1.2.2", 1)
    with pytest.raises(NotNow):
        call_off(store, find(store, "1.2.2"), ANNA, NOW)
    assert store.studies.get_revision("1.2.2", 1).finished_at is None


def test_what_was_called_off_can_be_read_again(store: Store, engine: Engine, order: list[str]) -> None:
    ward = Ward(store)
    ward.send("1.2.1")
    ward.begin("1.2.1")
    call_off(store, find(store, "1.2.1"), ANNA, NOW)
    begun = store.studies.begin_again("1.2.1", "asked for", NOW, lambda _: None)
    assert begun is not None
    assert make_steps(store).is_newest("1.2.1", begun.revision)


def test_nothing_is_called_off_that_cannot_be_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(store)
    ward.send("1.2.1")
    ward.begin("1.2.1")

    def refuse(*_arguments: object) -> None:
        raise StorageError("The trail cannot be written.")

    change: Callable[..., None] = refuse
    monkeypatch.setattr(type(store.audit), "record_in", change)
    with pytest.raises(StorageError):
        call_off(store, find(store, "1.2.1"), ANNA, NOW)
    assert store.studies.get_revision("1.2.1", 1).finished_at is None
