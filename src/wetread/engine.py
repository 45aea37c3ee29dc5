"""Durable workflows: a killed process goes on where it stopped.

In: ordinary functions ``workflow(step, *arguments)``.  Out: each runs to its end once, across restarts.
Never: pickle; arguments or results that are not JSON; dbos imported anywhere else.

DBOS keeps each step's result in its own database. Whole studies and whole deliveries are
workflows, never single instances. A step returns expected failures, it raises for bugs only,
because a replayed exception has lost its type.

Several processes may work on one PostgreSQL database, each under a name that is never used again. Who is
dead is not decided here (``heartbeat``): here its work is given back to the queues.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dbos
import dbos._dbos
import dbos._serialization
import dbos._sys_db
import sqlalchemy
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from dbos._serialization import Serializer

from wetread.jobs import Jobs
from wetread.store.database import connect_postgresql
from wetread.waits import Waits

#: ``step(name, function, *arguments)`` runs the function once and remembers its result.
Step = Callable[..., Any]
#: ``workflow(step, *arguments)``; all values are JSON.
Workflow = Callable[..., Any]

#: A workflow that was interrupted this often (restarts count) is not taken up again.
MAXIMUM_RECOVERIES = 5
_JOBS = "workflow_status"
#: Name of a process that has the engine's database to itself; fixed, so that a restart takes up its own work.
ALONE = "local"
_POOL_SIZE = 10
#: Where its database is away, the engine asks again after this time at most (half as much more by chance).
LONGEST_BACKOFF_S = 5.0
#: Types of what a workflow ends with where a disk is full or a database away: it is to be begun anew.
_PASSING_ERRORS = ("OperationalError", "IndexUnavailable", "StorageError")
#: States of a job that waits or runs.
OPEN_STATES = ["ENQUEUED", "PENDING", "DELAYED"]
_DONE_STATES = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How many workflows of a kind run at once in one process."""

    name: str
    #: 0: this process leaves them to others.
    concurrency: int
    #: One at a time for each partition (a destination), in all processes together.
    partitioned: bool = False
    polling_interval_s: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One workflow to run."""

    #: Name under which the workflow is registered.
    workflow: str
    queue: str
    #: The same key again is not run again.
    key: str
    arguments: tuple[Any, ...]
    #: From 1; lower runs first.
    priority: int
    delay_s: float = 0.0
    partition: str = ""


class JsonSerializer(Serializer):
    """JSON for everything the engine stores."""

    def name(self) -> str:
        """Name the format in each row."""
        return "json_1"

    def serialize(self, data: Any) -> str:
        """Return JSON; an exception is kept by its type alone, its text may hold patient data."""
        if isinstance(data, BaseException):
            data = {"$error": type(data).__qualname__}
        return json.dumps(data, separators=(",", ":"), allow_nan=False)

    def deserialize(self, serialized_data: str) -> Any:
        """Return the value; an exception comes back as ``StoredError``."""
        value = json.loads(serialized_data) if serialized_data is not None else None
        if isinstance(value, dict) and set(value) == {"$error"}:
            return StoredError(value["$error"])
        if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
            value["args"] = tuple(value["args"])
        return value


class StoredError(Exception):
    """An exception of an earlier run, known by its type's name only."""


class RefusePickle(Serializer):
    """Closes DBOS's own pickle reader: write access to its database must not run code."""

    def name(self) -> str:
        """Answer for pickled rows."""
        return "py_pickle"

    def serialize(self, data: Any) -> str:  # noqa: ARG002 - the signature is the base class's
        """Refuse."""
        raise TypeError("pickle is not written")

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ARG002 - as above
        """Refuse."""
        raise TypeError("pickle is not read")


dbos._serialization.DBOSDefaultSerializer = RefusePickle()


def _limit_backoff(longest_s: float) -> None:
    """Let the engine go on soon after its database is back: DBOS waits up to 90 s, and has no setting."""
    dbos._sys_db.db_retry.__defaults__ = (1.0, longest_s)
    for function in vars(dbos._sys_db.SystemDatabase).values():
        free = getattr(getattr(function, "__code__", None), "co_freevars", ())
        if "max_backoff" in free:
            function.__closure__[free.index("max_backoff")].cell_contents = longest_s


_limit_backoff(LONGEST_BACKOFF_S)


class Engine:
    """The one engine of this process (DBOS allows no second)."""

    def __init__(
        self, url: str, workflows: Mapping[str, Workflow], queues: tuple[Queue, ...], worker_id: str = ALONE
    ) -> None:
        """Prepare; nothing runs before ``start``.

        Parameters
        ----------
        url
            Of the engine's own database, ``sqlite:///...`` or ``postgresql+psycopg://...``.
        workflows
            Registered name -> function. The name is the stored address: never change it.
        worker_id
            Of this process; on PostgreSQL never used before.
        """
        config: DBOSConfig = {
            "name": "wetread",
            "system_database_url": url,
            "system_database_engine": self._connect(url),
            "serializer": JsonSerializer(),
            # A new version would strand what is in flight: pinned for good (see ARCHITECTURE.md).
            "application_version": "1",
            "executor_id": worker_id,
            "log_level": "CRITICAL",
        }
        DBOS(config=config)
        self._worker_id = worker_id
        #: Its rows.
        self.jobs = Jobs(url)
        self._queues = queues
        self._missing = Waits()
        self._functions = {name: _register(name, body) for name, body in workflows.items()}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Take up interrupted work and begin."""
        _make_durable()
        DBOS.listen_queues([queue.name for queue in self._queues if queue.concurrency])
        DBOS.launch()
        _keep_own_widths({queue.name: queue.concurrency for queue in self._queues})
        for queue in self._queues:
            DBOS.register_queue(
                queue.name,
                worker_concurrency=queue.concurrency or 1,
                partition_concurrency=1 if queue.partitioned else None,
                polling_interval_sec=queue.polling_interval_s,
            )

    def stop(self) -> bool:
        """Stop taking work; returns whether nothing is in flight: what is goes on at the next start."""
        is_idle = not _active_keys()
        DBOS.destroy(destroy_registry=True)
        if self._database is not None:
            self._database.dispose()
        return is_idle

    def enqueue(self, job: Job) -> None:
        """Queue a job; a key that was queued before is not run again."""
        options = SetEnqueueOptions(
            priority=job.priority,
            queue_partition_key=job.partition or None,
            delay_seconds=job.delay_s or None,
        )
        with SetWorkflowID(job.key), options:
            DBOS.enqueue_workflow(job.queue, self._functions[job.workflow], *job.arguments)

    def last_attempt(self, prefix: str) -> tuple[int, str]:
        """Return number and state of the last job whose key is the prefix and a number.

        One that waits or runs goes before all that ended; (0, "") where there is none. All in one
        question, so that several processes that ask find the same.
        """
        found = DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
        tries = [
            (str(one.status) in OPEN_STATES, int(one.workflow_id.removeprefix(prefix)), str(one.status))
            for one in found
        ]
        _, number, state = max(tries, default=(False, 0, ""))
        return number, state

    def list_owners(self) -> set[str]:
        """Return the names of the processes that hold jobs as running."""
        return {str(one.executor_id) for one in _list_running()}

    def recover(self, worker_ids: Collection[str]) -> int:
        """Give what dead processes held back to its queues; returns how many jobs.

        Each keeps queue, urgency and the count of its tries. Should a process live after all, the engine
        takes no result of it any more. To ask again, or from several processes, changes nothing.
        """
        return len(DBOS._recover_pending_workflows(sorted(worker_ids)))

    def recover_missing(self) -> int:
        """Give back what has stood as ours for a while and does not run here; returns how many jobs.

        The connection can break after the database noted that we took a job and before we heard of it.
        """
        ours = {one.workflow_id for one in _list_running(self._worker_id)}
        missing = ours - _active_keys()
        self._missing.forget_others(set(missing))
        # Longer than the engine waits before it asks again: it may be about to run the job.
        again = [key for key in sorted(missing) if self._missing.seen_s(key, None) > 3 * LONGEST_BACKOFF_S]
        system = dbos._dbos._get_dbos_instance()._sys_db
        return sum(system.reenqueue_for_recovery(key, [self._worker_id], "") for key in again)

    @property
    def is_alone(self) -> bool:
        """Whether no other process works on these jobs: then nobody else gives back what was lost."""
        return self._worker_id == ALONE

    def is_broken_by_disk(self, key: str) -> bool:
        """Tell whether a job ended because a database refused, the engine's own or the index."""
        found = DBOS.list_workflows(workflow_ids=[key], load_input=False)
        return bool(found) and str(found[0].error) in _PASSING_ERRORS

    def list_open(self, prefix: str = "") -> dict[str, str]:
        """Return key -> state of all jobs that wait or run."""
        found = DBOS.list_workflows(
            status=OPEN_STATES, workflow_id_prefix=prefix or None, load_input=False, load_output=False
        )
        return {one.workflow_id: str(one.status) for one in found}

    def find_state(self, key: str) -> str | None:
        """Return a job's state in DBOS's words, None where it is not known."""
        found = DBOS.list_workflows(workflow_ids=[key], load_input=False, load_output=False)
        return str(found[0].status) if found else None

    def prune(self, completed_before: str) -> int:
        """Forget jobs that ended before an ISO 8601 time; returns how many."""
        pruned = 0
        while True:
            done = DBOS.list_workflows(
                completed_before=completed_before,
                status=_DONE_STATES,
                limit=500,
                load_input=False,
                load_output=False,
            )
            if not done:
                return pruned
            DBOS.delete_workflows([one.workflow_id for one in done])
            pruned += len(done)

    def _connect(self, url: str) -> sqlalchemy.Engine | None:
        """Return connections of our own making to PostgreSQL; DBOS makes its own to SQLite."""
        is_shared = url.startswith("postgresql")
        # Not those of the index: their errors are translated, DBOS has to see what they were.
        self._database = connect_postgresql(url, _POOL_SIZE, 0) if is_shared else None
        return self._database


def engine_url(data: Path) -> str:
    """Return the URL of the embedded engine database in a data folder."""
    return f"sqlite:///{data / 'engine.sqlite'}"


def forget_jobs(url: str, studies: list[str]) -> None:
    """Remove all jobs of deleted studies, with what their steps returned; the engine may be running.

    What runs now goes on and finds its study gone.

    Parameters
    ----------
    url
        Of the engine's own database.
    """
    engine = sqlalchemy.create_engine(url)
    try:
        if not sqlalchemy.inspect(engine).has_table(_JOBS, schema=_schema(engine)):
            return
        place = f"{_schema(engine)}.{_JOBS}" if _schema(engine) else _JOBS
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Steps go with their workflow.
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            for study in studies:
                for kind in ("read", "shadow", "deliver"):
                    # A study's UID has digits and dots only: no wildcard.
                    connection.execute(
                        sqlalchemy.text(f"DELETE FROM {place} WHERE workflow_uuid LIKE :key"),  # noqa: S608
                        {"key": f"{kind}/{study}/%"},
                    )
    finally:
        engine.dispose()


def _schema(engine: sqlalchemy.Engine) -> str | None:
    return None if engine.dialect.name == "sqlite" else "dbos"


def _list_running(worker_id: str | None = None) -> list[dbos.WorkflowStatus]:
    return DBOS.list_workflows(status="PENDING", executor_id=worker_id, load_input=False, load_output=False)


def _active_keys() -> set[str]:
    return set(dbos._dbos._get_dbos_instance()._active_workflows_set.activeList())


def _keep_own_widths(widths: Mapping[str, int]) -> None:
    """Let each process decide how much it does at once; DBOS shares one number among all."""
    system = dbos._dbos._get_dbos_instance()._sys_db
    get_shared = system.get_queue

    def get_own(name: str) -> Any:
        queue = get_shared(name)
        if queue is not None and widths.get(name):
            queue._worker_concurrency = widths[name]
        return queue

    system.get_queue = get_own  # type: ignore[method-assign, assignment]


def _step(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    return DBOS.run_step({"name": name}, function, *arguments)


def _register(name: str, body: Workflow) -> Callable[..., Any]:
    def workflow(*arguments: Any) -> Any:
        return body(_step, *arguments)

    registered: Callable[..., Any] = DBOS.workflow(name=name, max_recovery_attempts=MAXIMUM_RECOVERIES)(
        workflow
    )
    return registered


def _make_durable() -> None:
    """Let SQLite commits of the engine survive a power cut, as those of the index do."""
    if not sqlalchemy.event.contains(sqlalchemy.engine.Engine, "connect", _set_full):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", _set_full)


def _set_full(connection: Any, _record: Any) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()
