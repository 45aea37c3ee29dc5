"""What readers do with a study: read it, judge what was found, say what is missing, set its priority.

In: forms.  Out: what was said, kept with who and when; the page again.
Never: a word over a newer one; a change by GET; a study past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from wetread.domain.reading import Priority
from wetread.domain.review import RejectReason, Remark, Verdict
from wetread.errors import NotNow
from wetread.identity import Permission
from wetread.store.room import LONGEST_WORDS, Claim
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Key
from wetread.web.queue import prefer
from wetread.web.site import Site

Who = Annotated[str, Form(max_length=64)]


def make_review(site: Site) -> APIRouter:
    """Return the routes of the reading room."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_claims(router, site)
    _add_remarks(router, site)
    _add_priority(router, site)
    return router


def _add_claims(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/claim")
    @needs(*PAGE, Permission.REPORT)
    def claim(eyes: Look, key: Key, instead_of: Who = "") -> Response:
        def take(row: StudyRow) -> None:
            mine = Claim(study_instance_uid=row.study_instance_uid, who=eyes.principal.name, at=_at(site))
            event = site.trail.change(eyes.visitor, row, "Reads the study.")
            site.store.room.claim(mine, instead_of=instead_of, event=event)

        return change_and_show(site, eyes, key, take)

    @router.post("/studies/{key}/release")
    @needs(*PAGE, Permission.REPORT)
    def release(eyes: Look, key: Key) -> Response:
        def give_back(row: StudyRow) -> None:
            event = site.trail.change(eyes.visitor, row, "Gave the study back to the list.")
            site.store.room.release(row.study_instance_uid, eyes.principal.name, event=event)

        return change_and_show(site, eyes, key, give_back)


class Judgement(BaseModel):
    """What the form of a finding holds."""

    #: Digest of the Reading, tracking UID of the finding.
    reading: str = Field(pattern="^[0-9a-f]{64}$")
    finding: str = Field(pattern=r"^[0-9.]{1,64}$")
    verdict: Literal["accepted", "rejected", "open"]
    reason: RejectReason = RejectReason.NOTHING
    text: str = Field(default="", max_length=LONGEST_WORDS)
    #: Number of the newest remark that the page showed.
    seen: int = Field(default=0, ge=0, lt=2**31)


class ReportedError(BaseModel):
    """What the form under a Reading holds."""

    reading: str = Field(pattern="^[0-9a-f]{64}$")
    text: str = Field(min_length=1, max_length=LONGEST_WORDS, pattern=r"\S")


def _add_remarks(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/findings")
    @needs(*PAGE, Permission.REPORT)
    def judge(eyes: Look, key: Key, said: Annotated[Judgement, Form()]) -> Response:
        verdict = Verdict(said.verdict)

        def keep(row: StudyRow) -> None:
            remark = Remark(
                study_instance_uid=row.study_instance_uid,
                reading_digest=said.reading,
                tracking_uid=said.finding,
                verdict=verdict,
                reason=said.reason if verdict is Verdict.REJECTED else None,
                text=said.text.strip(),
                at=_at(site),
                who=eyes.principal.name,
            )
            _say(site, eyes, row, remark, said.seen)

        return change_and_show(site, eyes, key, keep)

    @router.post("/studies/{key}/errors")
    @needs(*PAGE, Permission.REPORT)
    def report_error(eyes: Look, key: Key, said: Annotated[ReportedError, Form()]) -> Response:
        def keep(row: StudyRow) -> None:
            remark = Remark(
                study_instance_uid=row.study_instance_uid,
                reading_digest=said.reading,
                verdict=Verdict.REPORTED,
                text=said.text.strip(),
                at=_at(site),
                who=eyes.principal.name,
            )
            _say(site, eyes, row, remark, 0)

        return change_and_show(site, eyes, key, keep)


def _say(site: Site, eyes: Eyes, row: StudyRow, remark: Remark, seen: int) -> None:
    # The reader's own words stay with the study, and go with it.
    event = site.trail.change(eyes.visitor, row, f"Judged a reading: {remark.words}.")
    site.store.room.say(remark, seen=seen, event=event)


def _add_priority(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/priority")
    @needs(*PAGE, Permission.REPORT)
    def give_priority(
        eyes: Look,
        key: Key,
        priority: Annotated[Literal["stat", "urgent", "routine", "models"], Form()],
        why: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        def give(row: StudyRow) -> None:
            prefer(site, eyes, row, None if priority == "models" else Priority(priority), why)

        return change_and_show(site, eyes, key, give)


def change_and_show(site: Site, eyes: Eyes, key: str, change: Callable[[StudyRow], None]) -> Response:
    """Change something, and show the page again: with the reason, where it could not be done."""
    row = eyes.find_study(key)
    try:
        change(row)
    except NotNow as error:
        pulse = site.pulse.now(eyes.principal.sources)
        view = eyes.view_study(key)
        page = site.render("study.html", eyes.principal, pulse=pulse, view=view, refused=error.message)
        return HTMLResponse(page, 409)
    return RedirectResponse(f"/studies/{key}", status_code=303)


def _at(site: Site) -> float:
    return site.now().timestamp()
