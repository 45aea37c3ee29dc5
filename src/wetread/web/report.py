"""The report that a reader writes and signs.

In: forms.  Out: drafts and signed reports, kept; the page again.
Never: text that is lost without a word; a signature without the password typed anew; a study past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from wetread.compose.report_template import drop_empty_headings
from wetread.domain.report import MAIN_SECTIONS, Report, ReportState, Section
from wetread.errors import AccessError, NotNow
from wetread.identity import Permission
from wetread.store.reports import LONGEST_SECTION
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Key
from wetread.web.proof import prove
from wetread.web.site import Site

Text = Annotated[str, Field(max_length=LONGEST_SECTION)]
_NO_PROOF = "A signature needs an account with a password: `wetread users add`."
#: Five sections in the longest encoding.
LARGEST_BODY = 1 << 20


def make_report(site: Site) -> APIRouter:
    """Return the routes of reports."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_draft(router, site)
    _add_signature(router, site)
    return router


class Written(BaseModel):
    """What the form of a report holds."""

    #: Number of the newest version that the page showed.
    seen: int = Field(default=0, ge=0, lt=2**31)
    #: Of the study, as the page showed it.
    revision: int = Field(default=0, ge=0, lt=2**31)
    indication: Text = ""
    technique: Text = ""
    comparison: Text = ""
    findings: Text = ""
    impression: Text = ""
    addendum: Text = ""
    password: str = Field(default="", max_length=1024)
    code: str = Field(default="", max_length=16)

    def sections(self, wanted: Iterable[Section]) -> dict[Section, str]:
        """Return the text of some sections, where there is any."""
        said = {section: _plain(getattr(self, section.value)) for section in wanted}
        return {section: text for section, text in said.items() if text}


def _add_draft(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/draft", max_body_size=LARGEST_BODY)
    @needs(*PAGE, Permission.REPORT)
    def save_draft(request: Request, eyes: Look, key: Key, written: Annotated[Written, Form()]) -> Response:
        row = eyes.find_study(key)
        report = make_draft(site, eyes, row, written)
        by_itself = request.headers.get("accept", "") == "application/json"
        try:
            if is_reported(site, row):
                raise NotNow("The report was signed meanwhile: write an addendum.")
            proposed = site.views.propose(row).sentences
            kept = site.store.reports.save(replace(report, proposed=proposed), seen=written.seen)
        except NotNow as error:
            if by_itself:
                return JSONResponse({"message": error.message}, 409)
            return show_again(site, eyes, key, error.message, report)
        if by_itself:
            return JSONResponse({"seen": kept.id})
        return RedirectResponse(f"/studies/{key}", status_code=303)


def _add_signature(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/sign", max_body_size=LARGEST_BODY)
    @needs(*PAGE, Permission.REPORT)
    def sign(eyes: Look, key: Key, written: Annotated[Written, Form()]) -> Response:
        row = eyes.find_study(key)
        try:
            prove(eyes, written.password, written.code, _NO_PROOF)
            _sign(site, eyes, row, written)
        except AccessError as error:
            return show_again(site, eyes, key, error.message, make_draft(site, eyes, row, written))
        return RedirectResponse(f"/studies/{key}", status_code=303)


def make_draft(site: Site, eyes: Eyes, row: StudyRow, written: Written) -> Report:
    """Return what somebody wrote as a draft."""
    return Report(
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        state=ReportState.DRAFT,
        sections=written.sections(Section),
        who=eyes.principal.name,
        at=site.now().timestamp(),
    )


def _sign(site: Site, eyes: Eyes, row: StudyRow, written: Written) -> None:
    report = make_signed(site, eyes, row, written.sections(Section), written.revision)
    keep_signed(site, eyes, row, report, seen=written.seen)


def make_signed(site: Site, eyes: Eyes, row: StudyRow, text: Mapping[Section, str], revision: int) -> Report:
    """Return what would be signed of a text: the report or, where there is one, an addendum.

    Raises
    ------
    NotNow
        If what is needed is empty, or nobody signs here.
    """
    if site.signing is None:
        raise NotNow("This process signs nothing: use the service's own pages.")
    is_signed = is_reported(site, row)
    wanted = (Section.ADDENDUM,) if is_signed else MAIN_SECTIONS
    headings = {line for one in site.report_templates for line in one.headings()}
    written_in = {
        section: drop_empty_headings(text[section], headings) for section in wanted if section in text
    }
    sections = {section: said for section, said in written_in.items() if said}
    needed = Section.ADDENDUM if is_signed else Section.IMPRESSION
    if needed not in sections:
        raise NotNow(f"The {needed.value} is empty.")
    return Report(
        study_instance_uid=row.study_instance_uid,
        revision=revision,
        state=ReportState.ADDENDUM if is_signed else ReportState.FINAL,
        sections=sections,
        who=eyes.principal.name,
        signed_by=eyes.principal.display_name or eyes.principal.name,
        at=site.now().timestamp(),
    )


def keep_signed(site: Site, eyes: Eyes, row: StudyRow, report: Report, *, seen: int) -> None:
    """Sign a report; raises as ``Signing.sign``."""
    if site.signing is not None:
        what = "an addendum" if report.state is ReportState.ADDENDUM else "the report"
        event = site.trail.change(eyes.visitor, row, f"Signed {what}.")
        site.signing.sign(report, seen=seen, event=event)


def _plain(text: str) -> str:
    # Forms end lines with CR LF.
    return "\n".join(text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n"))


def is_reported(site: Site, row: StudyRow) -> bool:
    """Tell whether somebody signed a report of a study."""
    return any(one.is_signed for one in site.store.reports.list_for_study(row.study_instance_uid))


def show_again(site: Site, eyes: Eyes, key: str, refused: str, written: Report) -> Response:
    """Show the page with what was written, and why it was not kept."""
    pulse = site.pulse.now(eyes.principal.sources)
    view = eyes.view_study(key, written=written)
    page = site.render("study.html", eyes.principal, pulse=pulse, view=view, refused=refused)
    return HTMLResponse(page, 409)
