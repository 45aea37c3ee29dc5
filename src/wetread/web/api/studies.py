"""Studies: lists, searches, and everything about one.

In: requests.  Out: values of ``wetread.contract``.  Never: a study past ``Eyes``; a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from wetread.contract.studies import Explanation, ReadingList, StudyDetail, StudyPage
from wetread.domain.model import Model
from wetread.explain import explain_row
from wetread.identity import Permission
from wetread.store.reading_list import Kind, Wanted
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.api.asked import ReadingListAsked, StudiesAsked, StudyKey, StudySearch
from wetread.web.api.failure import TOO_LARGE
from wetread.web.api.paging import link_next, split
from wetread.web.api.told import Teller, tell_decision, tell_event, tell_revision
from wetread.web.eyes import Eyes, Look
from wetread.web.listing import weigh
from wetread.web.match_view import match_views
from wetread.web.site import Site


def teller_of(eyes: Eyes) -> Teller:
    """Return who tells somebody what they may know."""
    return Teller(store=eyes.site.store, now=eyes.site.now, knows_names=eyes.knows_names)


def tell_detail(teller: Teller, row: StudyRow, models: Mapping[str, Model]) -> StudyDetail:
    """Return everything about one study."""
    store, uid = teller.store, row.study_instance_uid
    revisions = store.studies.list_revisions(uid)
    matched = next((one.match for one in reversed(revisions) if one.match is not None), None)
    decisions = tuple(tell_decision(one) for one in match_views(matched, models))
    [study] = teller.studies([row])
    return StudyDetail(
        study=study,
        readings=teller.readings(store.readings.list_for_study(uid), {uid: row}),
        decisions=teller.hide(decisions, row),
        deliveries=teller.deliveries(store.deliveries.list_for_study(uid), {uid: row}),
        reports=teller.reports(uid),
        revisions=tuple(map(tell_revision, revisions)),
        events=teller.hide(tuple(map(tell_event, store.history.list_for_study(uid))), row),
    )


def add_studies(router: APIRouter, site: Site) -> None:
    """Add the routes."""
    _add_lists(router, site)
    _add_one(router, site)


def _add_lists(router: APIRouter, site: Site) -> None:
    @router.get("/reading-list", tags=["studies"])
    @needs(Permission.STUDIES)
    def get_reading_list(eyes: Look, asked: Annotated[ReadingListAsked, Query()]) -> ReadingList:
        """List the studies that nobody has reported, most urgent first."""
        eyes.note_query("reading list, by the API")
        wanted = Wanted(sources=eyes.principal.sources)
        rows = site.store.reading_list.page(wanted, weigh(), 0, asked.limit)
        total = site.store.reading_list.counts(wanted)[Kind.ALL]
        return ReadingList(items=teller_of(eyes).ranked(rows), total=total)

    @router.get("/studies", tags=["studies"])
    @needs(Permission.STUDIES)
    def list_studies(
        request: Request, response: Response, eyes: Look, asked: Annotated[StudiesAsked, Query()]
    ) -> StudyPage:
        """List studies, newest study date first."""
        eyes.note_query("studies, by the API")
        page = _page(site, eyes, asked)
        return StudyPage(
            items=page.items, after=page.after, next=link_next(request, response, asked, page.after)
        )

    @router.post("/studies/search", tags=["studies"], responses=TOO_LARGE)
    @needs(Permission.STUDIES)
    def search_studies(eyes: Look, asked: StudySearch) -> StudyPage:
        """List studies as above, also by patient and accession number, which must not stand in an address."""
        if asked.identifying and not eyes.knows_names:
            raise HTTPException(403)
        eyes.note_query(" ".join(("search for studies, by the API:", *asked.identifying)))
        return _page(site, eyes, asked)


def _page(site: Site, eyes: Eyes, asked: StudiesAsked) -> StudyPage:
    found = site.store.pages.studies(
        asked.to_filter(), asked.limit + 1, asked.after or "", eyes.principal.sources
    )
    rows, has_more = split(found, asked.limit)
    return StudyPage(items=teller_of(eyes).studies(rows), after=rows[-1].key if has_more else None)


def _add_one(router: APIRouter, site: Site) -> None:
    @router.get("/studies/{key}", tags=["studies"])
    @needs(Permission.STUDIES)
    def get_study(eyes: Look, key: StudyKey) -> StudyDetail:
        """Return everything about one study."""
        row = eyes.find_study(key)
        eyes.site.trail.opened(eyes.visitor, row, "the study")
        return tell_detail(teller_of(eyes), row, site.lineup.now())

    @router.get("/studies/{key}/explanation", tags=["studies"])
    @needs(Permission.STUDIES)
    def explain_study(eyes: Look, key: StudyKey) -> Explanation:
        """Tell in words which models ran on a study or did not, and why."""
        row = eyes.find_study(key)
        eyes.site.trail.opened(eyes.visitor, row, "the study")
        lines = tuple(explain_row(site.store, row))
        return Explanation(study_key=key, lines=teller_of(eyes).hide(lines, row))
