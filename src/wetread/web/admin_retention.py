"""What is kept and what goes, as an administrator sees it; legal holds are placed and lifted here.

In: forms; to lift a hold, the administrator's own password.  Out: HTML; holds, each in the audit trail.
Never: a study deleted here (the service does, by ``[retention]``); who the patient is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.domain.study import study_key
from wetread.errors import AccessError, ConfigError, NotNow
from wetread.explain import find_study
from wetread.store.census import take_census
from wetread.store.holds import LONGEST_REASON
from wetread.store.retention import DAY_S, Verdict, judge, measure_images
from wetread.web.access import needs
from wetread.web.admin import ADMIN
from wetread.web.eyes import Eyes, Look
from wetread.web.login import refusal
from wetread.web.pages import Key
from wetread.web.proof import prove
from wetread.web.pseudonym import identity_pattern
from wetread.web.site import Site
from wetread.web.words import format_count, format_time

#: Studies that are shown of those that go.
SHOWN = 50
_GIB, _MIB = 1 << 30, 1 << 20
_OTHERWISE = "A hold is lifted here by an administrator with a password, on the machine by `wetread release`."
Why = Annotated[str, Form(max_length=LONGEST_REASON, pattern=r"^[^\x00-\x1f\x7f]*$")]
Secret = Annotated[str, Form(max_length=1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """One legal hold."""

    key: str
    #: Whether the study is still here.
    is_here: bool
    since: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingView:
    """One study that goes."""

    key: str
    last_image: str
    #: ``""``: when the disk needs it.
    goes: str
    is_due: bool


def make_admin_retention(site: Site) -> APIRouter:
    """Return the routes of retention and holds."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/admin/retention")
    @needs(*ADMIN)
    def retention(eyes: Look) -> HTMLResponse:
        eyes.note_query("retention and legal holds")
        return HTMLResponse(_page(site, eyes))

    @router.post("/admin/holds")
    @needs(*ADMIN)
    def hold(
        eyes: Look, study: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")], why: Why = ""
    ) -> Response:
        try:
            row = eyes.find_study_by_uid(find_study(site.store, study.strip()).study_instance_uid)
            site.store.holds.place(row.study_instance_uid, why, eyes.principal.name, site.now())
        except (ConfigError, HTTPException) as error:
            # To whom it is not, it is not there.
            told = error.message if isinstance(error, ConfigError) else "No such study is here: check it."
            return HTMLResponse(_page(site, eyes, told), 409)
        return RedirectResponse("/admin/retention", status_code=303)

    @router.post("/admin/holds/{key}/lift")
    @needs(*ADMIN)
    def lift(eyes: Look, key: Key, why: Why = "", password: Secret = "", code: Secret = "") -> Response:
        held = _find_held(site, eyes, key)
        try:
            if not held:
                raise NotNow("It is not on hold: somebody has lifted it already.")
            prove(eyes, password, code[:16], _OTHERWISE)
            site.store.holds.release(held, why, eyes.principal.name, site.now())
        except (NotNow, ConfigError) as error:
            return HTMLResponse(_page(site, eyes, error.message), 409)
        except AccessError as error:
            return refusal(_page(site, eyes, error.message), error)
        return RedirectResponse("/admin/retention", status_code=303)

    return router


def _find_held(site: Site, eyes: Eyes, key: str) -> str:
    """Return the UID of a study on hold, ``""`` where it is here and not on hold; 404 as ``find_study``."""
    uids = (one.study_instance_uid for one in site.store.holds.list_all())
    held = next((uid for uid in uids if study_key(uid) == key), "")
    if held and site.store.studies.find(held) is None:
        if eyes.principal.sources is None:
            return held
        raise HTTPException(404)
    eyes.find_study(key)
    return held


def _may_see(site: Site, eyes: Eyes, uid: str) -> bool:
    row = site.store.studies.find(uid)
    # What is gone has no sender any more: whoever sees all may lift it.
    return eyes.principal.sources is None if row is None else eyes.principal.may_see(row)


def _page(site: Site, eyes: Eyes, refused: str = "") -> str:
    now = site.now()
    installation = site.installation
    verdicts = [one for one in judge(site.store, installation.policy, now) if eyes.principal.may_see(one)]
    going = _list_going(verdicts, has_mark=installation.retention.disk_percent is not None)
    census = take_census(site.store)
    count, size = measure_images(site.store)
    return site.render(
        "admin_retention.html",
        eyes.principal,
        census=census,
        disk_used=round(100 * (1 - census.disk_free / census.disk_size)) if census.disk_size else 0,
        disk_gib=census.disk_size // _GIB,
        free_gib=census.disk_free // _GIB,
        images=f"{format_count(count, 'object')}, {_format_size(size)}",
        studies=len(verdicts),
        retention=installation.retention,
        soon=_count_soon(verdicts, now.timestamp()),
        kept=sorted(Counter(one.kept_because for one in verdicts if one.kept_because).items()),
        going=going[:SHOWN],
        more=len(going) - len(going[:SHOWN]),
        holds=_list_holds(site, eyes),
        refused=refused,
        can_lift=bool(eyes.principal.account_id),
        longest=LONGEST_REASON,
    )


def _format_size(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.1f} MiB"


def _count_soon(verdicts: Sequence[Verdict], now: float) -> list[tuple[str, int]]:
    ends = [one.goes_at - now for one in verdicts if one.goes_at is not None]
    stretches = (("due now", 0.0), ("within a week", 7.0), ("within 30 days", 30.0), ("within a year", 365.0))
    return [(word, sum(end <= days * DAY_S for end in ends)) for word, days in stretches]


def _list_going(verdicts: Sequence[Verdict], *, has_mark: bool) -> list[GoingView]:
    """Return what goes first, by its age or when the disk needs it."""
    chosen = [one for one in verdicts if one.goes_at is not None or (has_mark and not one.kept_because)]
    return [
        GoingView(
            key=study_key(one.study_instance_uid),
            last_image=format_time(one.last_received_at),
            goes=format_time(one.goes_at) if one.goes_at is not None else "",
            is_due=one.is_due,
        )
        for one in chosen
    ]


def _list_holds(site: Site, eyes: Eyes) -> list[HoldView]:
    views = []
    for one in site.store.holds.list_all():
        row = site.store.studies.find(one.study_instance_uid)
        if not _may_see(site, eyes, one.study_instance_uid):
            continue
        # Typed by people: what the header says of the patient is cut out.
        reason = one.reason if row is None or eyes.knows_names else identity_pattern(row).sub("…", one.reason)
        views.append(
            HoldView(
                key=study_key(one.study_instance_uid),
                is_here=row is not None,
                since=format_time(one.placed_at),
                by=one.placed_by,
                reason=reason,
            )
        )
    return views
