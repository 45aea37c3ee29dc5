"""What all routes need, as one value.

In: what ``create_web`` was given.  Out: ``Site``.  Never: routes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import jinja2

from wetread.store import Store
from wetread.store.studies import StudyRow
from wetread.web.live import Pulse
from wetread.web.study import StudyViews


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The application's parts."""

    store: Store
    views: StudyViews
    templates: jinja2.Environment
    pulse: Pulse
    now: Callable[[], datetime]
    #: Starts a refused or failed delivery again; None: pages offer no such button.
    on_retry: Callable[[int], None] | None

    def render(self, template: str, **values: object) -> str:
        """Return a page; everything in it is escaped."""
        values = {"pulse": self.pulse.now(), "can_retry": self.on_retry is not None, **values}
        return self.templates.get_template(template).render(values)

    def find_study(self, key: str) -> StudyRow | None:
        """Return the study of an address, None where there is none."""
        return self.store.studies.find_by_key(key)


def load_templates() -> jinja2.Environment:
    """Return the templates; an unknown name in one is an error and not silence."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("wetread.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
