"""The working half of a service: steps, engine, dispatcher, heartbeat.

In: a ``Config`` and its store.  Out: ``Work``, which reads and delivers until ``stop``.
Never: a door to the outside; a decision about a study.

``wetread serve`` has this beside its receiver and its pages, ``wetread worker`` is this alone.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from wetread.alarms import Alarms
from wetread.config import Config, retention_policy
from wetread.dispatch import Dispatcher
from wetread.domain.model import Model
from wetread.engine import ALONE, Engine, Queue, engine_url
from wetread.errors import ConfigError
from wetread.fetcher import LANES, Fetcher, Lane
from wetread.heartbeat import Heartbeat
from wetread.infer.precedence import Precedence
from wetread.path import DELIVER_QUEUE, READ_QUEUE, SHADOW_QUEUE, StudyPath
from wetread.receive.fetched import FetchedIntake, make_fetched_intake
from wetread.registry.lineup import Lineup
from wetread.share.workitems import Worklist
from wetread.steps import DeliverySteps, KeepingSteps, PerformingSteps, ReadingSteps, ShadowSteps
from wetread.steps.alerting import AlertSteps
from wetread.steps.awaiting import AwaitingSteps
from wetread.steps.backfilling import BackfillSteps
from wetread.steps.fetching import FetchSteps
from wetread.steps.late_priors import LatePriorSteps
from wetread.steps.ordered_images import OrderedImages
from wetread.steps.peers import PeerReader
from wetread.steps.priors import PriorSteps
from wetread.steps.settling import SettlingSteps
from wetread.steps.watching import WatchSteps
from wetread.store import Store, open_store
from wetread.store.place import take_place
from wetread.store.settings import read_database_url

#: The exit status of a process that others took for dead: start it again (sysexits.h, EX_TEMPFAIL).
EXIT_BURIED = 75
#: Where several processes ask one database, each asks less often.
_SHARED_POLLING_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Reading and delivering, until ``stop``."""

    store: Store
    worker_id: str
    engine: Engine
    dispatcher: Dispatcher
    #: None where the data folder is ours alone.
    heartbeat: Heartbeat | None
    precedence: Precedence
    alarms: Alarms
    #: One for each PACS.
    fetchers: tuple[Fetcher, ...] = ()
    #: Takes in what they fetch; None where there are none.
    fetched: FetchedIntake | None = None

    def stop(self) -> None:
        """Stop working; what is in flight goes on at the next start, or elsewhere."""
        for fetcher in self.fetchers:
            fetcher.stop()
        if self.fetched is not None:
            self.fetched.close()
        self.alarms.stop()
        self.dispatcher.stop()
        if self.heartbeat is not None:
            self.heartbeat.stop_watching()
        # Nobody waits for what is read in the shadow.
        self.precedence.close()
        is_idle = self.engine.stop()
        if self.heartbeat is not None:
            self.heartbeat.stop()
            self.heartbeat.workers.close()
            if is_idle:
                # Otherwise a step still ends here: others wait until we are silent.
                self.store.workers.leave(self.worker_id)


def open_place(config: Config) -> tuple[Store, str]:
    """Open the store to work on it; returns it, and the name of this process.

    Raises
    ------
    ConfigError
        If another service has this data folder to itself.
    IndexUnavailable
        If the database does not answer.
    """
    url = read_database_url(config.store)
    store = open_store(
        config.data,
        url,
        config.audit.key_file,
        encryption=config.encryption,
        reserve_mb=config.store.reserve_mb,
    )
    if not url:
        store.own()
        return store, ALONE
    worker_id = f"{socket.gethostname()[:64]}-{os.getpid()}-{secrets.token_hex(8)}"
    return take_place(store, worker_id), worker_id


def start_work(
    config: Config,
    store: Store,
    worker_id: str,
    packages: Sequence[Model],
    on_workitem: Callable[[], None] = lambda: None,
) -> Work:
    """Take up interrupted work and begin.

    Parameters
    ----------
    packages
        The registered model versions; which of them read, the index says at each study.
    on_workitem
        Called when a workitem has changed.
    """
    # What is written in passing holds patient data: it stays in our folder, which the next start clears.
    precedence = Precedence(store.work)
    reading, shadow = _make_reading(config, store, packages, precedence)
    delivery = DeliverySteps(store=store, destinations=reading.destinations, clock=now, retry=config.delivery)
    hooks: dict[str, Callable[[], None]] = {
        "tried": lambda: dispatcher.wake_tried(),
        "read": lambda: dispatcher.wake(),
    }
    path = StudyPath(reading, shadow, delivery, lambda job: engine.enqueue(job), **hooks)
    url = read_database_url(config.store)
    queues = _make_queues(config)
    heartbeat = None
    if url:
        # Before the first job is taken: else it would look like that of a dead one. And beating from the
        # first moment on: an engine that begins may be busy for longer than the silent are taken for alive.
        store.workers.join(worker_id)
        heartbeat = Heartbeat(store.workers.apart(), store.history, worker_id, _end_buried, now)
        heartbeat.start()
        queues = tuple(replace(queue, polling_interval_s=_SHARED_POLLING_S) for queue in queues)
    engine = Engine(url or engine_url(config.data), path.workflows(), queues, worker_id)
    keeping = KeepingSteps(store=store, policy=retention_policy(config), clock=now)
    fetchers, fetched = _make_fetchers(config, store, lambda: dispatcher.wake())
    priors = _make_priors(config, store, partial(_wake, fetchers))
    most = max(1, config.work.readings)
    performing = _make_performing(config, store, reading.lineup, on_workitem, partial(_wake, fetchers))
    awaiting = AwaitingSteps(store=store, lineup=reading.lineup, clock=now)
    settling = _make_settling(store, reading, hooks["tried"])
    days = config.study.late_prior_days
    late = LatePriorSteps(store=store, lineup=reading.lineup, clock=now, days=days)
    beside = (priors, most, performing, shadow, awaiting, settling, late)
    dispatcher = Dispatcher(store, reading, delivery, engine, now, keeping, *beside)
    engine.start()
    if heartbeat is not None:
        heartbeat.start_watching(engine)
    dispatcher.start()
    alarms = Alarms(AlertSteps(store=store, settings=config.alerts, clock=now))
    alarms.start()
    for fetcher in fetchers:
        fetcher.start()
    return Work(
        store=store,
        worker_id=worker_id,
        engine=engine,
        dispatcher=dispatcher,
        heartbeat=heartbeat,
        precedence=precedence,
        alarms=alarms,
        fetchers=fetchers,
        fetched=fetched,
    )


def _make_reading(
    config: Config, store: Store, packages: Sequence[Model], precedence: Precedence
) -> tuple[ReadingSteps, ShadowSteps]:
    lineup = Lineup(packages, store.model_states)
    most = config.registry.failures_in_a_row
    reading = ReadingSteps(
        store=store,
        lineup=lineup,
        rules=config.rules,
        destinations={destination.name: destination for destination in config.destinations},
        run_job=PeerReader(store, precedence.read_live, config.dicom.aet),
        clock=now,
        default_quiet_s=config.study.quiet_s,
        failures_in_a_row=most,
    )
    shadow = ShadowSteps(
        store=store,
        lineup=lineup,
        rules=config.rules,
        run_job=precedence.read_beside,
        clock=now,
        failures_in_a_row=most,
    )
    return reading, shadow


def _make_settling(store: Store, reading: ReadingSteps, wake: Callable[[], None]) -> SettlingSteps:
    return SettlingSteps(store=store, destinations=reading.destinations, clock=now, wake=wake)


def _make_performing(
    config: Config,
    store: Store,
    lineup: Lineup,
    on_workitem: Callable[[], None],
    wanted: Callable[[], None],
) -> PerformingSteps:
    return PerformingSteps(
        store=store,
        worklist=make_worklist(store, on_workitem),
        lineup=lineup,
        rules=config.rules,
        aet=config.dicom.aet,
        clock=now,
        base_url=dicomweb_url(config),
        fetch=OrderedImages(fetches=store.fetches, pacs=config.pacs, clock=now, wanted=wanted),
    )


def _make_queues(config: Config) -> tuple[Queue, ...]:
    return (
        replace(READ_QUEUE, concurrency=config.work.readings),
        replace(SHADOW_QUEUE, concurrency=config.work.readings),
        # A place for each, or as many that hang would keep the others waiting.
        replace(DELIVER_QUEUE, concurrency=max(DELIVER_QUEUE.concurrency, len(config.destinations))),
    )


def _wake(fetchers: tuple[Fetcher, ...]) -> None:
    for fetcher in fetchers:
        fetcher.wake()


def _make_priors(config: Config, store: Store, wanted: Callable[[], None]) -> PriorSteps:
    asked = tuple(one for one in config.pacs if one.priors.on)
    return PriorSteps(store=store, pacs=asked, clock=now, wanted=wanted)


def _make_fetchers(
    config: Config, store: Store, wake: Callable[[], None]
) -> tuple[tuple[Fetcher, ...], FetchedIntake | None]:
    """Return who fetches from each PACS, and who takes that in."""
    if not config.pacs:
        return (), None
    limit = config.dicom.maximum_instance_mb << 20
    fetched = make_fetched_intake(store, config.dicom.aet, limit, lambda _study, _acceptance: wake())
    fetching = FetchSteps(
        store=store,
        pacs={pacs.name: pacs for pacs in config.pacs},
        begin_taking=fetched.begin,
        own_aet=config.dicom.aet,
        clock=now,
        settled=wake,
    )
    watching = WatchSteps(store=store, rules=config.rules, clock=now)
    backfilling = BackfillSteps(store=store, rules=config.rules, clock=now)
    priors = _make_priors(config, store, lambda: None)
    fetchers = tuple(
        Fetcher(
            pacs=pacs,
            store=store,
            fetching=fetching,
            watching=watching,
            priors=priors,
            backfilling=backfilling,
            lanes=lanes,
        )
        for pacs in config.pacs
        for lanes in ([LANES] if pacs.maximum_associations == 1 else [frozenset({one}) for one in Lane])
    )
    return fetchers, fetched


def make_worklist(store: Store, on_changed: Callable[[], None] = lambda: None) -> Worklist:
    """Return the worklist that pages, peers and our own performer share."""
    return Worklist(
        workitems=store.workitems,
        subscriptions=store.subscriptions,
        audit=store.audit,
        clock=now,
        on_changed=on_changed,
    )


def dicomweb_url(config: Config) -> str:
    """Return where others reach our DICOMweb service, as far as the configuration tells."""
    web = config.web
    name = next(iter(web.allowed_hosts), web.host)
    if web.behind_proxy:
        return f"https://{name}/dicom-web"
    return f"{'https' if web.tls else 'http'}://{name}:{web.port}/dicom-web"


def check_worker(config: Config) -> None:
    """Refuse a worker that could not share anything.

    Raises
    ------
    ConfigError
        If the index is SQLite.
    """
    if not config.store.is_shared:
        raise ConfigError(
            "A worker shares a PostgreSQL database with the service: set store.database."
            " With SQLite, `wetread serve` does all the work itself."
        )


def now() -> datetime:
    """Return the time on this machine's clock; every other part gets it handed in."""
    # With the local offset: DICOM and HL7 times without one are read as local.
    return datetime.now(UTC).astimezone()


def _end_buried() -> None:
    """End at once: what this process works on is with others by now."""
    print("Others took this process for dead: it ends, start it again.", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(EXIT_BURIED)
