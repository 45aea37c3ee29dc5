"""The pages for people.

In: requests.  Out: HTML, and the pieces of it that change.  Never: a change by GET; a study past ``Eyes``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from wetread.identity import Permission
from wetread.store.reported import keep_reported
from wetread.store.studies import StudyRow
from wetread.web.access import Who, needs, proof_of
from wetread.web.asked import NOTHING_ASKED, Asked, read_asked
from wetread.web.eyes import Eyes, Look
from wetread.web.site import Site

Key = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
#: No larger than a row's number can be on any database.
Number = Annotated[int, Path(ge=0, lt=2**31)]

#: Why nothing was signed at the provider, by what stands in the address of the page that says so.
UNSIGNED: Mapping[str, str] = {
    "provider": "Nothing was signed: the provider did not confirm that it is you, or you took longer than"
    " five minutes. Your text is kept as a draft: sign it again.",
    "person": "Nothing was signed: the provider named somebody else than who is signed in here, or you may"
    " not sign any more. The text is kept as a draft.",
    "changed": "Nothing was signed: another version of this report was saved or signed meanwhile. Look at it,"
    " then sign.",
    "study": "Nothing was signed: more images came, or the study cannot be reported now. Your text is kept as"
    " a draft: look at the study, then sign it again.",
}
PAGE = (Permission.PAGES, Permission.STUDIES)


def make_pages(site: Site) -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_events(router, site)
    _add_study(router, site)
    _add_changes(router, site)
    return router


def _add_events(router: APIRouter, site: Site) -> None:
    @router.get("/events")
    @needs(*PAGE, is_background=True)
    def events(request: Request, who: Who) -> StreamingResponse:
        def is_welcome() -> bool:
            return site.identity.resolve(proof_of(request, is_background=True)) == who

        headers = {"X-Accel-Buffering": "no"}
        stream = site.pulse.stream(who.sources, is_welcome)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _add_study(router: APIRouter, site: Site) -> None:
    def render(template: str, eyes: Eyes, key: str, asked: Asked = NOTHING_ASKED, refused: str = "") -> str:
        pulse, view = site.pulse.now(eyes.principal.sources), eyes.view_study(key)
        return site.render(template, eyes.principal, pulse=pulse, view=view, refused=refused, asked=asked)

    @router.get("/studies/{key}")
    @needs(*PAGE)
    def study_page(request: Request, eyes: Look, key: Key) -> HTMLResponse:
        refused = UNSIGNED.get(request.query_params.get("unsigned", ""), "")
        return HTMLResponse(render("study.html", eyes, key, read_asked(request.query_params), refused))

    @router.get("/fragments/studies/{key}")
    @needs(*PAGE, is_background=True)
    def studyanswer_fragment(request: Request, eyes: Look, key: Key) -> Response:
        return answer_fragment(request, render("_study.html", eyes, key))


def _add_changes(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/report")
    @needs(*PAGE, Permission.REPORT)
    def report(eyes: Look, key: Key) -> RedirectResponse:
        mark(site, eyes, eyes.find_study(key), is_reported=True)
        return RedirectResponse("/", status_code=303)

    @router.post("/studies/{key}/reopen")
    @needs(*PAGE, Permission.REPORT)
    def reopen(eyes: Look, key: Key) -> RedirectResponse:
        mark(site, eyes, eyes.find_study(key), is_reported=False)
        return RedirectResponse(f"/studies/{key}", status_code=303)


def mark(site: Site, eyes: Eyes, row: StudyRow, *, is_reported: bool) -> None:
    """Take a study off the reading list or put it back, with what is told of it."""
    told = "Marked as reported." if is_reported else "Put back on the reading list."
    event = site.trail.change(eyes.visitor, row, told)
    keep_reported(site.store, row, is_reported=is_reported, at=site.now(), told=told, event=event)


def answer_fragment(request: Request, html: str) -> Response:
    """Answer 304 where the page already shows this: most pulses concern another study."""
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return HTMLResponse(html, headers={"ETag": etag})
