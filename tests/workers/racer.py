"""A process with a real engine and a real dispatcher that looks when all others look.

In: a wetread.toml, a barrier.  Out: how often it came too late.
Never: a look that is not at the same moment as that of the others, until there is nothing left to race for.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import wetread.work
from wetread.config import read_config
from wetread.dispatch import Dispatcher
from wetread.domain.reading import Reading
from wetread.engine import Engine, Job
from wetread.infer.job import ReadJob
from wetread.infer.read import read_job
from wetread.registry import read_packages
from wetread.store.studies import RevisionRow, Studies


@dataclass(slots=True)
class Count:
    """What this process did."""

    begun: int = 0
    #: Revisions that another began at the same moment.
    late: int = 0
    #: Deliveries asked for, also where another had asked already.
    deliveries: int = 0


def _watch(count: Count) -> None:
    begin, enqueue = Studies.begin_revision, Engine.enqueue

    def begin_revision(studies: Studies, *arguments: Any) -> RevisionRow | None:
        begun = begin(studies, *arguments)
        count.begun += begun is not None
        count.late += begun is None
        return begun

    def enqueue_job(engine: Engine, job: Job) -> None:
        count.deliveries += job.workflow == "deliver"
        enqueue(engine, job)

    Studies.begin_revision = begin_revision  # type: ignore[method-assign]
    Engine.enqueue = enqueue_job  # type: ignore[method-assign]


def race(config_file: Path, barrier: Barrier, is_over: Event, answers: Queue[Any]) -> None:
    """Work until it is over; answers with what was counted."""
    count = Count()
    _watch(count)
    # Ours looks in step with the others; and models run here: a process for each would take the time.
    Dispatcher.start = lambda _: None  # type: ignore[method-assign]
    wetread.work.run_job = _read_here  # type: ignore[assignment]
    config = read_config(config_file)
    store, worker_id = wetread.work.open_place(config)
    work = wetread.work.start_work(config, store, worker_id, read_packages(config.models))
    with contextlib.suppress(BrokenBarrierError):
        while not is_over.is_set():
            barrier.wait(120)
            work.dispatcher.look()
    # Who waits for us waits no more.
    barrier.abort()
    answers.put(count)
    work.stop()
    store.close()


def _read_here(job: ReadJob, work: Path) -> Reading:
    return read_job(job)[0]
