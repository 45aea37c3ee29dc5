"""The composition root: build everything from a Config, start it, stop it.

In: a ``Config``.  Out: a running service.  Never: a decision about a study.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from wetread.committing import make_reporter
from wetread.compose.report_template import read_templates
from wetread.config import Config, check_config, exposed_host, retention_policy
from wetread.deliver.syslog import Forwarder, read_collector
from wetread.dispatch import Dispatcher
from wetread.domain.audit import START, STOP, application_event
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance
from wetread.errors import ConfigError, StorageError, UnsafeBinding, WetreadError
from wetread.fetch.web import check_token
from wetread.identity import Identity, make_identity
from wetread.identity.first_run import FirstRun
from wetread.inventory import Inventory
from wetread.network import client_context, renewing_context, server_context
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.receive.mllp import Listener, MllpOptions, start_mllp_listener
from wetread.receive.notes import Notes
from wetread.receive.results import ResultIntake
from wetread.receive.services import Services
from wetread.receive.storage import OnStored
from wetread.receive.stow import Stow, StowOptions, start_stow
from wetread.receive.trail import ReceiveTrail
from wetread.registry import read_packages
from wetread.served import make_event_sender, make_services
from wetread.share.reporting import Reporter
from wetread.share.ups_events import EventSender
from wetread.steps.signing import Signing
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.erasure import finish_deletions
from wetread.store.history import Event
from wetread.web import create_web
from wetread.web.site import Installation
from wetread.work import Work, make_worklist, now, open_place, start_work

#: How long the page server may take to come up.
START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningApp:
    """A service that runs until ``stop``."""

    store: Store
    work: Work
    receiver: Receiver
    reporter: Reporter
    stow: Stow
    listener: Listener | None
    #: What the HL7 listener refused.
    trail: ReceiveTrail
    forwarder: Forwarder | None
    events: EventSender
    inventory: Inventory
    web: FastAPI
    server: uvicorn.Server
    server_thread: threading.Thread
    url: str
    #: Makes the first administrator at ``/first-run``; ``""``: there is somebody who may sign in.
    first_run_code: str

    @property
    def dicom_port(self) -> int:
        """The port that takes images."""
        return self.receiver.port

    def stop(self) -> None:
        """Stop taking in first, then working, then showing."""
        self.receiver.stop()
        self.reporter.stop()
        self.stow.stop()
        if self.listener is not None:
            self.listener.stop()
        self.inventory.stop()
        self.work.stop()
        self.events.stop()
        # Open event streams would keep the server waiting.
        self.web.state.pulse.stop()
        self.server.should_exit = True
        self.server_thread.join()
        self.stow.close()
        self.trail.close()
        with contextlib.suppress(StorageError):
            # A full disk must not keep us running.
            self.store.audit.record(application_event(STOP, now()))
        if self.forwarder is not None:
            self.forwarder.stop()
        self.store.close()


def start_app(config: Config) -> RunningApp:
    """Start the whole service.

    Raises
    ------
    ConfigError
        If the configuration is unsafe, the data folder is in use, or a port is taken.
    """
    check_config(config)
    check_certificates(config)
    store, worker_id = open_place(config)
    store.audit.record(application_event(START, now()))
    finish_deletions(store)
    forwarder = _start_forwarder(config, store)
    identity = _make_identity(config, store)
    first_run = FirstRun(identity)
    check_users(config, identity)
    packages = read_packages(config.models, config.registry)
    events = make_event_sender(config, store)
    events.start()
    work = start_work(config, store, worker_id, packages, events.wake)
    on_stored = _waking(work.dispatcher)
    worklist = make_worklist(store, _calling(events.wake, work.dispatcher.wake))
    reporter = make_reporter(config, store)
    services = make_services(config, store, work.dispatcher.wake, reporter, worklist)
    receiver = _start_receiver(config, store, on_stored, services)
    reporter.start()
    stow = _start_stow(config, store, on_stored)
    trail = ReceiveTrail(store.audit.record, config.dicom.aet)
    web = _make_web(config, store, packages, work, first_run, forwarder, stow, worklist.on_changed)
    server, thread, url = _serve_web(config, web)
    # Last: it takes as long as there are files, and nobody need wait for it.
    inventory = Inventory(store, now)
    inventory.start()
    # What was loaded stays for good: the collector need not walk through it for each answer.
    gc.collect()
    gc.freeze()
    return RunningApp(
        store=store,
        work=work,
        receiver=receiver,
        reporter=reporter,
        stow=stow,
        listener=_start_listener(config, store, trail),
        trail=trail,
        forwarder=forwarder,
        events=events,
        inventory=inventory,
        web=web,
        server=server,
        server_thread=thread,
        url=url,
        first_run_code=first_run.code if first_run.is_needed() else "",
    )


def check_certificates(config: Config) -> None:
    """Refuse certificates and keys that cannot be used, before anything starts.

    Raises
    ------
    ConfigError
        If one is missing, has expired, does not fit or can be read by others.
    """
    for tls in (config.dicom.tls, config.hl7.tls, config.web.tls):
        if tls is not None:
            server_context(tls)
    for destination in config.destinations:
        if destination.needs_tls:
            client_context(destination.client_tls)
    for pacs in config.pacs:
        check_token(pacs)
        if pacs.needs_tls:
            client_context(pacs.client_tls)


def check_users(config: Config, identity: Identity) -> None:
    """Refuse a service that others can reach and that nobody answers for.

    Raises
    ------
    UnsafeBinding
        If there are accounts, but no administrator among them, and no OpenID Connect provider. Without any
        account all doors are closed until somebody made the first one at ``/first-run``.
    """
    exposed = exposed_host(config)
    if exposed and identity.accounts.has_any() and not identity.has_administrator():
        raise UnsafeBinding(
            "A service that other machines reach needs somebody who may sign in: add one with"
            " `wetread users add NAME --role administrator`, or set up web.oidc.",
            host=exposed,
        )


def _make_identity(config: Config, store: Store) -> Identity:
    return make_identity(
        store,
        now,
        sign_in=config.web.sign_in,
        oidc=config.web.oidc,
        record=store.audit.record,
        is_exposed=bool(exposed_host(config)),
    )


def _start_forwarder(config: Config, store: Store) -> Forwarder | None:
    """Hand the audit trail to its collector, where there is one; that it is away stands in the history."""
    collector = read_collector(config.audit)
    if collector is None:
        return None

    def note(error: WetreadError | None) -> None:
        message = str(error) if error else "The audit collector takes the trail again."
        level, code = ("problem", ProblemCode.AUDIT_NOT_FORWARDED.value) if error else ("info", "")
        event = Event(at=now(), stage="audit", level=level, code=code, message=message)
        # Where the index is out, the next try tells.
        with contextlib.suppress(StorageError):
            store.history.add(event)

    forwarder = Forwarder(AuditRows(store.engine), collector, store.audit.source, note)
    forwarder.start()
    return forwarder


def _calling(*hooks: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        for hook in hooks:
            hook()

    return call


def _waking(dispatcher: Dispatcher) -> OnStored:
    def on_stored(_study_instance_uid: str, acceptance: Acceptance) -> None:
        if acceptance is Acceptance.ACCEPTED:
            dispatcher.wake()

    return on_stored


def _start_stow(config: Config, store: Store, on_stored: OnStored) -> Stow:
    options = StowOptions(
        aet=config.dicom.aet,
        instance_limit=config.dicom.maximum_instance_mb << 20,
        maximum_requests=config.dicom.maximum_associations,
    )
    return start_stow(options, store, on_stored)


def _start_receiver(config: Config, store: Store, on_stored: OnStored, services: Services) -> Receiver:
    options = ReceiverOptions(
        aet=config.dicom.aet,
        host=config.dicom.host,
        port=config.dicom.port,
        allowed_aets=config.dicom.allowed_aets,
        peers=config.dicom.peers,
        tls=config.dicom.tls,
        maximum_associations=config.dicom.maximum_associations,
        instance_limit=config.dicom.maximum_instance_mb << 20,
    )
    try:
        return start_receiver(options, store, on_stored, services)
    except OSError as error:
        raise ConfigError("The DICOM port is taken: choose another.", port=config.dicom.port) from error


def _start_listener(config: Config, store: Store, trail: ReceiveTrail) -> Listener | None:
    """Listen for HL7 messages: reports of other systems."""
    if config.hl7.port is None:
        return None

    notes = Notes(store.history)
    results = ResultIntake(store, notes, trail, now)

    def note(reason: str) -> None:
        notes.problem(f"An HL7 connection was ended: {reason}", ProblemCode.UNREADABLE_MESSAGE)
        trail.message_refused(f"An HL7 connection was ended: {reason}")

    options = MllpOptions(
        host=config.hl7.host,
        port=config.hl7.port,
        tls=config.hl7.tls,
        allowed_addresses=config.hl7.allowed_addresses,
        allowed_certificates=config.hl7.allowed_certificates,
    )
    try:
        return start_mllp_listener(options, results.take, note)
    except OSError as error:
        raise ConfigError("The HL7 port is taken: choose another.", port=config.hl7.port) from error


def _make_web(
    config: Config,
    store: Store,
    packages: Sequence[Model],
    work: Work,
    first_run: FirstRun,
    forwarder: Forwarder | None,
    stow: Stow,
    on_workitem: Callable[[], None],
) -> FastAPI:
    templates = read_templates(config.reports.templates)
    return create_web(
        store,
        packages,
        rules=config.rules,
        identity=first_run.identity,
        first_run=first_run,
        on_retry=lambda: work.dispatcher.wake(sweep=True),
        jobs=work.engine.jobs,
        on_workitem=on_workitem,
        audit_backlog=forwarder.backlog if forwarder else None,
        stow=stow,
        signing=Signing(
            store=store,
            templates=templates,
            destinations={one.name: one for one in config.destinations},
            wake=lambda: work.dispatcher.wake(sweep=True),
        ),
        reading_list=config.reading_list,
        report_templates=templates,
        installation=Installation(
            destinations=config.destinations,
            pacs=config.pacs,
            policy=retention_policy(config),
            alerts=config.alerts,
        ),
        allowed_hosts=config.web.allowed_hosts,
        needs_https=config.web.is_exposed or config.web.tls is not None,
        now=now,
    )


def _serve_web(config: Config, web: FastAPI) -> tuple[uvicorn.Server, threading.Thread, str]:
    tls = config.web.tls
    settings = uvicorn.Config(
        web,
        host=config.web.host,
        port=config.web.port,
        log_level="warning",
        # Ours alone (``logs``): uvicorn's own would show texts of exceptions.
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody has anything to tell us on a WebSocket.
        ws_max_size=1 << 16,
        # Else anybody on this machine could say that they are somewhere else.
        proxy_headers=config.web.behind_proxy,
        forwarded_allow_ips=list(config.web.trusted_proxies),
    )
    if tls is not None:
        settings.load()
        settings.ssl = renewing_context(tls)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    _await_started(server, thread, config)
    port = server.servers[0].sockets[0].getsockname()[1]
    return server, thread, f"{'https' if tls else 'http'}://{config.web.host}:{port}/"


def _await_started(server: uvicorn.Server, thread: threading.Thread, config: Config) -> None:
    pause = threading.Event()
    waited_s = 0.0
    while not server.started:
        if not thread.is_alive() or waited_s > START_TIMEOUT_S:
            raise ConfigError("The port of the pages is taken: choose another.", port=config.web.port)
        pause.wait(0.02)
        waited_s += 0.02
