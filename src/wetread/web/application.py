"""Put the pages together.

In: store, models, hooks.  Out: a FastAPI application.  Never: a bind address (that is the server's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from wetread.compose.report_template import ReportTemplate, read_templates
from wetread.domain.model import Model
from wetread.identity import Identity, make_identity
from wetread.identity.first_run import FirstRun
from wetread.jobs import Jobs
from wetread.match import Rule
from wetread.receive.stow import Stow
from wetread.registry.lineup import Lineup
from wetread.share.workitems import Worklist
from wetread.steps.signing import Signing
from wetread.store import Store
from wetread.web.access import Doorkeeper
from wetread.web.account import make_account
from wetread.web.admin import make_admin
from wetread.web.admin_accounts import make_admin_accounts
from wetread.web.admin_retention import make_admin_retention
from wetread.web.admin_tokens import make_admin_tokens
from wetread.web.api import make_api
from wetread.web.beside import make_beside
from wetread.web.deliveries import make_deliveries
from wetread.web.department import make_department
from wetread.web.dicomweb import make_dicomweb
from wetread.web.documents import make_documents
from wetread.web.edit import make_edit
from wetread.web.error_pages import add_error_pages
from wetread.web.fetch import make_fetch
from wetread.web.first_run import make_first_run
from wetread.web.guard import LOOPBACK_HOSTS, Guard
from wetread.web.health import make_health
from wetread.web.images import make_images
from wetread.web.live import Pulse
from wetread.web.login import make_login
from wetread.web.models import make_models
from wetread.web.ohif.serve import make_ohif
from wetread.web.pages import make_pages
from wetread.web.pictures import Pictures
from wetread.web.queue import make_queue
from wetread.web.reading_list import make_reading_list
from wetread.web.report import make_report
from wetread.web.review import make_review
from wetread.web.rules import make_rules
from wetread.web.shadow import make_shadow
from wetread.web.sign_anew import make_sign_anew
from wetread.web.site import Installation, Site, load_templates
from wetread.web.stow import make_stow
from wetread.web.study import StudyViews
from wetread.web.subscribers import make_subscribers
from wetread.web.trail import WebTrail
from wetread.web.wado_uri import make_wado_uri
from wetread.web.workitems import make_workitems
from wetread.worklist import ReadingListSettings

#: How often the index is asked for changes: with the fetch well under a second to the screen.
POLL_S = 0.5


#: Our forms have a handful of fields; whatever brings more says so itself.
LARGEST_BODY = 64 * 1024


#: Routes are tried in their order: first whose answers are asked for by the hundred.
_MAKERS: tuple[Callable[[Site], APIRouter], ...] = (
    *(make_dicomweb, make_images),
    *(make_reading_list, make_pages, make_queue, make_deliveries, make_fetch, make_documents),
    *(make_api, make_health, make_stow, make_wado_uri),
    *(make_login, make_account, make_workitems, make_subscribers, make_models, make_review, make_edit),
    *(make_report, make_sign_anew, make_department, make_shadow, make_beside, make_ohif, make_first_run),
    *(make_admin, make_admin_accounts, make_admin_tokens, make_admin_retention, make_rules),
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_web(
    store: Store,
    packages: Iterable[Model],
    *,
    rules: tuple[Rule, ...] = (),
    identity: Identity | None = None,
    first_run: FirstRun | None = None,
    on_retry: Callable[[], None] | None = None,
    jobs: Jobs | None = None,
    on_workitem: Callable[[], None] = lambda: None,
    audit_backlog: Callable[[], tuple[int, str]] | None = None,
    stow: Stow | None = None,
    signing: Signing | None = None,
    reading_list: ReadingListSettings | None = None,
    report_templates: tuple[ReportTemplate, ...] | None = None,
    installation: Installation | None = None,
    allowed_hosts: Iterable[str] = (),
    needs_https: bool = False,
    poll_s: float = POLL_S,
    now: Callable[[], datetime] = _utc_now,
) -> FastAPI:
    """Return the application: reading list, study pages, JSON.

    Parameters
    ----------
    packages
        The registered model versions.
    rules
        In force: shown, and what changed ones are compared with.
    identity
        Who is asking; None: by the accounts of the store, with the usual limits.
    first_run
        Makes the first administrator; None: there is no such page.
    on_retry
        Called when refused or failed deliveries wait again because somebody wants it;
        None: no such button.
    jobs
        Of the engine, for the page of the queue; None: it tells what the index knows.
    on_workitem
        Called when a workitem has changed.
    audit_backlog
        Asked how many entries of the audit trail wait for their collector, and why; None: there is none.
    stow
        Takes what is handed in by STOW-RS; None: nothing is.
    signing
        Signs reports; None: nobody does here.
    reading_list
        By when studies are due, and how much of the list one page shows; None: as without configuration.
    report_templates
        What reports begin with; None: the built-in ones.
    installation
        What is configured, for the pages of administration; None: nothing.
    allowed_hosts
        Host names beside loopback under which the pages may be asked for.
    needs_https
        Whether pages under those names are refused where the last stretch was not HTTPS.
    poll_s
        How often the index is asked for changes, seconds.

    Notes
    -----
    ``app.state.pulse.stop()`` ends the open event streams: call it before the server is told to
    stop, which otherwise waits for them.
    """
    lineup = Lineup(tuple(packages), store.model_states)
    report_templates = read_templates() if report_templates is None else report_templates
    pictures = Pictures(store)
    site = Site(
        store=store,
        identity=identity or make_identity(store, now, record=store.audit.record),
        trail=WebTrail(store.audit, now),
        views=StudyViews(store, lineup, pictures, report_templates),
        pictures=pictures,
        lineup=lineup,
        rules=rules,
        templates=load_templates(),
        pulse=Pulse(store.history.pulse, poll_s),
        now=now,
        worklist=_make_worklist(store, now, on_workitem),
        on_retry=on_retry,
        jobs=jobs,
        audit_backlog=audit_backlog,
        stow=stow,
        signing=signing,
        report_templates=report_templates,
        installation=installation or Installation(),
        first_run=first_run,
        reading_list=reading_list or ReadingListSettings(),
    )
    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(
        title="Wetread",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=LARGEST_BODY,
        dependencies=[Depends(Doorkeeper(site.identity))],
    )
    app.state.pulse = site.pulse
    app.state.site = site
    for router in (make(site) for make in _MAKERS):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    add_error_pages(app, site)
    hosts = frozenset(host.strip("[]").lower() for host in allowed_hosts)
    app.add_middleware(Guard, allowed_hosts=LOOPBACK_HOSTS | hosts, needs_https=needs_https)
    return app


def _make_worklist(store: Store, now: Callable[[], datetime], on_changed: Callable[[], None]) -> Worklist:
    return Worklist(
        workitems=store.workitems,
        subscriptions=store.subscriptions,
        audit=store.audit,
        clock=now,
        on_changed=on_changed,
    )
