"""What is served on the DICOM port beside C-STORE and C-ECHO, and told from there.

In: a ``Config`` and its store.  Out: ``Services`` for the receiver; who sends event reports.
Never: a decision of a service; a thread that is started here.
"""

from __future__ import annotations

from collections.abc import Callable

from wetread.committing import commitment_services, make_callee
from wetread.config import Config
from wetread.receive.notices import NoticeScp
from wetread.receive.services import Services, join
from wetread.share.query_retrieve import QueryRetrieve
from wetread.share.reporting import Reporter
from wetread.share.trail import access_event
from wetread.share.ups import Ups
from wetread.share.ups_events import EventSender
from wetread.share.workitems import Worklist
from wetread.store import Store
from wetread.work import make_worklist, now


def make_services(
    config: Config,
    store: Store,
    wake: Callable[[], None] = lambda: None,
    reporter: Reporter | None = None,
    worklist: Worklist | None = None,
) -> Services:
    """Return what is served on the DICOM port beside C-STORE and C-ECHO.

    Parameters
    ----------
    wake
        Called when something was told of a study.
    reporter
        Who reports storage commitments; None: they wait for one.
    worklist
        Told of what peers order; None: one of its own.
    """
    peers = config.dicom.peers
    is_open = not peers and not config.dicom.allowed_aets
    answering = QueryRetrieve(
        catalogue=store.catalogue,
        aet=config.dicom.aet,
        destinations={
            one.aet: make_callee(one, one.retrieve_to, config.dicom) for one in peers if one.retrieve_to
        },
        may_query=lambda aet: is_open or any(one.aet == aet and one.may_query for one in peers),
        record=lambda access: store.audit.record(access_event(access, config.dicom.aet, now())),
    )
    telling = NoticeScp(
        store=store,
        aet=config.dicom.aet,
        # Whoever may send images may tell of them, unless the list says otherwise.
        may_notify=lambda aet: all(one.may_notify for one in peers if one.aet == aet),
        wake=wake,
        clock=now,
    )
    ups = Ups(
        worklist=worklist or make_worklist(store),
        may_order=lambda aet: is_open or any(one.aet == aet and one.may_order for one in peers),
        known_aets={one.aet for one in config.dicom.peers if one.events_to},
    )
    return join(
        Services(contexts=answering.contexts, handlers=answering.handlers, commands=answering.commands),
        telling.services(),
        commitment_services(config, store, reporter, wake),
        Services(contexts=ups.contexts, handlers=ups.handlers, commands=ups.commands),
    )


def make_event_sender(config: Config, store: Store) -> EventSender:
    """Return who tells peers of workitems; it is to be started."""
    return EventSender(
        subscriptions=store.subscriptions,
        history=store.history,
        callees={
            one.aet: make_callee(one, one.events_to, config.dicom)
            for one in config.dicom.peers
            if one.events_to
        },
        clock=now,
    )
