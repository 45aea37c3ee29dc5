"""The page of the queue: what waits, what is read, what is stuck or failed, and what to do about it.

In: requests.  Out: HTML; studies read again, called off, put further ahead.
Never: a change by GET; a study past ``Eyes``; a second way to do what commands and the API do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.domain.reading import Priority
from wetread.errors import NotNow
from wetread.identity import Permission
from wetread.steps.again import read_again
from wetread.steps.places import call_off, give_priority
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Key, answer_fragment
from wetread.web.site import Site


def make_queue(site: Site) -> APIRouter:
    """Return the routes of the queue."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    def render(template: str, eyes: Eyes, refused: str = "") -> str:
        pulse = site.pulse.now(eyes.principal.sources)
        values = {"queue": eyes.view_queue(), "pulse": pulse, "refused": refused}
        return site.render(template, eyes.principal, **values)

    @router.get("/queue")
    @needs(*PAGE)
    def page(eyes: Look) -> HTMLResponse:
        return HTMLResponse(render("queue.html", eyes))

    @router.get("/fragments/queue")
    @needs(*PAGE, is_background=True)
    def fragment(request: Request, eyes: Look) -> Response:
        return answer_fragment(request, render("_queue.html", eyes))

    @router.post("/queue/{key}/{deed}")
    @needs(*PAGE, Permission.READ_AGAIN)
    def do(eyes: Look, key: Key, deed: Literal["read-again", "call-off"]) -> Response:
        row = eyes.find_study(key)
        try:
            (begin_again if deed == "read-again" else end)(site, eyes, row)
        except NotNow as error:
            return HTMLResponse(render("queue.html", eyes, error.message), 409)
        return RedirectResponse("/queue", status_code=303)

    @router.post("/queue/{key}")
    @needs(*PAGE, Permission.REPORT)
    def put(
        eyes: Look,
        key: Key,
        priority: Annotated[Priority, Form()],
        why: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        try:
            prefer(site, eyes, eyes.find_study(key), priority, why)
        except NotNow as error:
            return HTMLResponse(render("queue.html", eyes, error.message), 409)
        return RedirectResponse("/queue", status_code=303)

    return router


def begin_again(site: Site, eyes: Eyes, row: StudyRow) -> int:
    """Have a study read again; returns the revision's number."""
    revision = read_again(site.store, row, site.rules, eyes.actor, site.now())
    wake(site)
    return revision


def end(site: Site, eyes: Eyes, row: StudyRow) -> None:
    """Take a study out of the queue."""
    call_off(site.store, row, eyes.actor, site.now())


def prefer(site: Site, eyes: Eyes, row: StudyRow, priority: Priority | None, why: str) -> None:
    """Let somebody's priority hold, for list and queue."""
    give_priority(site.store, row, priority, why, eyes.actor, site.now())
    wake(site)


def wake(site: Site) -> None:
    """Have looked at what is due, where that happens in this process."""
    if site.on_retry is not None:
        site.on_retry()
