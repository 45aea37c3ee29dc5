"""What all routes need, as one value.

In: what ``create_web`` was given.  Out: ``Site``.  Never: routes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import jinja2

from wetread.compose.report_template import ReportTemplate
from wetread.deliver.alarm import AlertSettings
from wetread.deliver.destination import Destination
from wetread.domain.review import RejectReason
from wetread.fetch.pacs import Pacs
from wetread.identity import Identity, Permission, Principal, PrincipalKind
from wetread.identity.first_run import FirstRun
from wetread.imaging.layout import Layouts
from wetread.jobs import Jobs
from wetread.match import Rule
from wetread.receive.stow import Stow
from wetread.registry.lineup import Lineup
from wetread.share.workitems import Worklist
from wetread.steps.signing import Signing
from wetread.store import Store
from wetread.store.retention import Policy, RetentionSettings
from wetread.web.asked import NOTHING_ASKED
from wetread.web.live import Pulse
from wetread.web.ohif.prepare import find_viewer
from wetread.web.pictures import Pictures
from wetread.web.stacks import WINDOW_TITLES
from wetread.web.study import StudyViews
from wetread.web.trail import WebTrail
from wetread.worklist import ReadingListSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is configured, as far as the pages of administration show it."""

    destinations: tuple[Destination, ...] = ()
    pacs: tuple[Pacs, ...] = ()
    policy: Policy = field(
        default_factory=lambda: Policy(settings=RetentionSettings(), asked_destinations=frozenset())
    )
    alerts: AlertSettings = field(default_factory=AlertSettings)

    @property
    def retention(self) -> RetentionSettings:
        """``[retention]``."""
        return self.policy.settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The application's parts."""

    store: Store
    identity: Identity
    trail: WebTrail
    views: StudyViews
    pictures: Pictures
    #: The registered model versions, and how they stand.
    lineup: Lineup
    #: In force.
    rules: tuple[Rule, ...]
    templates: jinja2.Environment
    pulse: Pulse
    now: Callable[[], datetime]
    worklist: Worklist
    #: Told that refused or failed deliveries wait again; None: pages offer no such button.
    on_retry: Callable[[], None] | None
    #: Of the engine; None: nobody can tell what waits and what runs.
    jobs: Jobs | None = None
    #: How many entries of the audit trail wait for their collector, and why; None: there is none.
    audit_backlog: Callable[[], tuple[int, str]] | None = None
    #: Signs reports; None: nobody does here.
    signing: Signing | None = None
    installation: Installation = field(default_factory=Installation)
    #: Makes the first administrator; None: nobody does here.
    first_run: FirstRun | None = None
    #: By when studies are due, and how much of the list one page shows.
    reading_list: ReadingListSettings = field(default_factory=ReadingListSettings)
    #: What reports begin with.
    report_templates: tuple[ReportTemplate, ...] = ()
    #: Takes what is handed in by STOW-RS; None: nothing is.
    stow: Stow | None = None
    #: Where frames lie in objects that were asked for lately.
    layouts: Layouts = field(default_factory=Layouts)
    #: Held while changed rules are tried on past studies: one trial at a time.
    trial_turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ohif(self) -> Path | None:
        """Where the viewer lies that is set up; None: there is none."""
        return find_viewer(self.store.data / "viewer")

    def render(self, template: str, who: Principal | None = None, **values: object) -> str:
        """Return a page for somebody; everything in it is escaped."""
        may = who.may if who else (lambda _: False)
        values = {
            "who": who if who and who.kind is not PrincipalKind.OPEN else None,
            "me": who.name if who else "",
            "can_report": may(Permission.REPORT),
            "can_sign": self.signing is not None and who is not None and who.kind is PrincipalKind.LOCAL,
            # Who asks somebody anew before they sign; "": their password does.
            "signs_by": self._signs_by(who),
            "can_retry": self.on_retry is not None and may(Permission.RETRY),
            "can_read_again": may(Permission.READ_AGAIN),
            "can_decide": may(Permission.MODELS),
            "can_administer": may(Permission.ADMINISTER),
            # Asked by the one page that wants to know.
            "is_first_run": self.first_run.is_needed if self.first_run else (lambda: False),
            "knows_names": may(Permission.IDENTITY),
            "has_ohif": self.ohif is not None,
            # Which slice an address asks for; "" where it names none.
            "asked": NOTHING_ASKED,
            **values,
        }
        return self.templates.get_template(template).render(values)

    def _signs_by(self, who: Principal | None) -> str:
        is_theirs = who is not None and who.kind is PrincipalKind.OIDC
        return self.identity.oidc.settings.title if is_theirs and self.signing and self.identity.oidc else ""


def load_templates() -> jinja2.Environment:
    """Return the templates; an unknown name in one is an error and not silence."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wetread.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Macros see what is global only.
    environment.globals["window_titles"] = WINDOW_TITLES
    environment.globals["reject_reasons"] = [one.value for one in RejectReason]
    return environment
