"""What we need of DBOS, held for the pinned version."""

import base64
import itertools
import json
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wetread.engine import Engine, Job, JsonSerializer, Queue, StoredError, engine_url

READ = Queue(name="read", concurrency=1, polling_interval_s=0.05)
DELIVER = Queue(name="deliver", concurrency=4, partitioned=True, polling_interval_s=0.05)


def job(workflow: str, key: str, *arguments: Any, priority: int = 10, **more: Any) -> Job:
    queue = "deliver" if more.get("partition") else "read"
    return Job(workflow=workflow, queue=queue, key=key, arguments=arguments, priority=priority, **more)


def await_true(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    limit = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < limit, "it did not come"
        pause.wait(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    started: list[Engine] = []

    def begin(**workflows: Callable[..., Any]) -> Engine:
        engine = Engine(engine_url(tmp_path), workflows, (READ, DELIVER))
        engine.start()
        started.append(engine)
        return engine

    yield begin
    for engine in started:
        engine.stop()


def test_a_key_runs_once_and_steps_are_remembered(start) -> None:
    ran: list[str] = []

    def work(step, name: str) -> None:
        ran.append(step("first", str.upper, name))

    engine = start(work=work)
    for _ in range(5):
        engine.enqueue(job("work", "k/1", "a"))
    await_true(lambda: engine.find_state("k/1") == "SUCCESS")
    assert ran == ["A"]
    assert engine.find_state("k/2") is None
    assert engine.list_open() == {}


def test_urgent_jobs_come_first(start) -> None:
    order: list[str] = []
    gate = threading.Event()

    def work(step, name: str) -> None:
        if name == "first":
            gate.wait(10)
        order.append(name)

    engine = start(work=work)
    engine.enqueue(job("work", "k/0", "first", priority=30))
    await_true(lambda: engine.find_state("k/0") == "PENDING")
    for name, priority in (("routine", 30), ("stat", 10), ("urgent", 20)):
        engine.enqueue(job("work", f"k/{name}", name, priority=priority))
    gate.set()
    await_true(lambda: len(order) == 4)
    assert order == ["first", "stat", "urgent", "routine"]


def test_a_hanging_partition_blocks_no_other(start) -> None:
    done: list[str] = []
    gate = threading.Event()

    def send(step, destination: str, number: int) -> None:
        if destination == "dead":
            gate.wait(20)
        done.append(f"{destination}{number}")

    engine = start(send=send)
    for number in range(3):
        for destination in ("dead", "good"):
            key = f"{destination}/{number}"
            engine.enqueue(job("send", key, destination, number, partition=destination))
    await_true(lambda: len(done) == 3)
    assert sorted(done) == ["good0", "good1", "good2"]
    gate.set()
    await_true(lambda: len(done) == 6)


def test_a_workflow_can_come_back_later(start) -> None:
    tries: list[float] = []

    def send(step, number: int) -> None:
        tries.append(time.monotonic())
        if number < 2:
            engine.enqueue(job("send", f"s/{number + 1}", number + 1, delay_s=0.5, partition="pacs"))

    engine = start(send=send)
    engine.enqueue(job("send", "s/0", 0, partition="pacs"))
    await_true(lambda: len(tries) == 3)
    assert all(later - earlier >= 0.45 for earlier, later in itertools.pairwise(tries))


def test_exceptions_are_kept_by_type_only() -> None:
    serializer = JsonSerializer()
    text = serializer.serialize(ValueError("DOE^JOHN"))
    assert "DOE" not in text
    assert isinstance(serializer.deserialize(text), StoredError)


def test_a_pickled_row_is_not_read(start, tmp_path: Path) -> None:
    marker = tmp_path / "owned"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (marker,))

    ran: list[int] = []
    gate = threading.Event()

    def work(step, number: int) -> None:
        if number == 0:
            gate.wait(10)
        ran.append(number)

    engine = start(work=work)
    engine.enqueue(job("work", "k/0", 0))
    await_true(lambda: engine.find_state("k/0") == "PENDING")
    engine.enqueue(job("work", "k/forged", 1))
    forged = base64.b64encode(pickle.dumps({"args": (Bomb(),), "kwargs": {}})).decode()
    with sqlite3.connect(tmp_path / "engine.sqlite", timeout=10) as database:
        database.execute(
            "update workflow_status set inputs = ?, serialization = 'py_pickle'"
            " where workflow_uuid = 'k/forged'",
            (forged,),
        )
    engine.enqueue(job("work", "k/2", 2))
    gate.set()
    await_true(lambda: 2 in ran)
    assert not marker.exists()
    assert 1 not in ran


def test_everything_stored_is_json(start, tmp_path: Path) -> None:
    engine = start(work=lambda step, value: step("first", dict, value))
    engine.enqueue(job("work", "k/1", {"a": [1]}))
    await_true(lambda: engine.find_state("k/1") == "SUCCESS")
    with sqlite3.connect(tmp_path / "engine.sqlite", timeout=10) as database:
        rows = database.execute("select inputs, output, serialization from workflow_status").fetchall()
        rows += database.execute("select output, output, serialization from operation_outputs").fetchall()
    assert rows
    for inputs, output, name in rows:
        assert name == "json_1"
        for value in filter(None, (inputs, output)):
            json.loads(value)


def test_what_ended_long_ago_is_forgotten(start) -> None:
    engine = start(work=lambda _step: None)
    engine.enqueue(job("work", "k/1"))
    await_true(lambda: engine.find_state("k/1") == "SUCCESS")
    now = datetime.now(UTC)
    assert engine.prune((now - timedelta(days=1)).isoformat()) == 0
    assert engine.find_state("k/1") == "SUCCESS"
    assert engine.prune((now + timedelta(days=1)).isoformat()) == 1
    assert engine.find_state("k/1") is None


CRASHING = """
import sys, time
from pathlib import Path
from wetread.engine import Engine, Job, Queue, engine_url
folder = Path(sys.argv[1])
def note(name):
    with (folder / "steps").open("a") as file: file.write(name + "\\n")
def work(step, name):
    step("one", note, "one")
    step("two", hang if sys.argv[2] == "hang" else note, "two")
def hang(name):
    note("two begun")
    time.sleep(60)
queue = Queue(name="read", concurrency=1, polling_interval_s=0.05)
engine = Engine(engine_url(folder), {"work": work}, (queue,))
engine.start()
engine.enqueue(Job(workflow="work", queue="read", key="k/1", arguments=("a",), priority=10))
while engine.find_state("k/1") != "SUCCESS": time.sleep(0.02)
engine.stop()
"""


def test_a_killed_process_goes_on_behind_the_last_finished_step(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CRASHING, str(tmp_path)]
    steps = tmp_path / "steps"
    first = subprocess.Popen([*command, "hang"])
    await_true(lambda: steps.exists() and "two begun" in steps.read_text())
    first.send_signal(signal.SIGKILL)
    first.wait()
    subprocess.run([*command, "go"], check=True, timeout=60)
    assert steps.read_text().split("\n") == ["one", "two begun", "two", ""]
