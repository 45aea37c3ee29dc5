"""Deliveries: what goes where, how far it is, and its second chance.

In: requests.  Out: values of ``wetread.contract``.  Never: a delivery past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from wetread.contract.deliveries import DeliveryLine, DeliveryPage, Retried
from wetread.errors import NotNow
from wetread.identity import Permission
from wetread.store.deliveries import DEAD, DeliveryRow
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.api.asked import DeliveriesAsked, RetryAsked, RowNumber
from wetread.web.api.failure import TOO_LARGE, failures
from wetread.web.api.paging import link_next, split
from wetread.web.api.studies import teller_of
from wetread.web.deliveries import retry
from wetread.web.eyes import Eyes, Look
from wetread.web.site import Site


def add_deliveries(router: APIRouter, site: Site) -> None:
    """Add the routes."""
    _add_lists(router, site)
    _add_retries(router, site)


def _add_lists(router: APIRouter, site: Site) -> None:
    @router.get("/deliveries", tags=["deliveries"])
    @needs(Permission.STUDIES)
    def list_deliveries(
        request: Request, response: Response, eyes: Look, asked: Annotated[DeliveriesAsked, Query()]
    ) -> DeliveryPage:
        """List deliveries, the last planned first."""
        study = eyes.find_study(asked.study) if asked.study else None
        eyes.note_query("deliveries, by the API")
        found = site.store.pages.deliveries(
            asked.to_filter(study.study_instance_uid if study else ""),
            asked.limit + 1,
            int(asked.after) if asked.after else None,
            eyes.principal.sources,
        )
        rows, has_more = split(found, asked.limit)
        cursor = str(rows[-1].id) if has_more else None
        return DeliveryPage(
            items=_told(site, eyes, rows),
            after=cursor,
            next=link_next(request, response, asked, cursor),
        )

    @router.get("/deliveries/{delivery_id}", tags=["deliveries"])
    @needs(Permission.STUDIES)
    def get_delivery(eyes: Look, delivery_id: RowNumber) -> DeliveryLine:
        """Return one delivery."""
        row, study = eyes.find_delivery(delivery_id)
        eyes.site.trail.opened(eyes.visitor, study, "a delivery")
        return _one(eyes, row, study)


def _add_retries(router: APIRouter, site: Site) -> None:
    @router.post("/deliveries/{delivery_id}/retry", tags=["deliveries"], responses=failures(409))
    @needs(Permission.STUDIES, Permission.RETRY)
    def retry_delivery(eyes: Look, delivery_id: RowNumber) -> DeliveryLine:
        """Try a delivery again that was refused or failed."""
        row, study = eyes.find_delivery(delivery_id)
        if row.state not in DEAD:
            raise NotNow("Only what was refused or failed can be tried again.", state=row.state.value)
        retry(site, eyes, [row])
        row, study = eyes.find_delivery(delivery_id)
        if row.state in DEAD:
            raise NotNow("A newer reading has taken its place: it is not sent any more.")
        return _one(eyes, row, study)

    @router.post("/deliveries/retry", tags=["deliveries"], responses=TOO_LARGE)
    @needs(Permission.STUDIES, Permission.RETRY)
    def retry_destination(eyes: Look, asked: RetryAsked) -> Retried:
        """Try everything again that a destination refused or that failed."""
        return Retried(count=retry(site, eyes, eyes.list_dead(asked.destination)))


def _told(site: Site, eyes: Eyes, rows: Sequence[DeliveryRow]) -> tuple[DeliveryLine, ...]:
    studies = site.store.pages.rows_of({row.study_instance_uid for row in rows})
    return teller_of(eyes).deliveries(rows, studies)


def _one(eyes: Eyes, row: DeliveryRow, study: StudyRow) -> DeliveryLine:
    [line] = teller_of(eyes).deliveries([row], {study.study_instance_uid: study})
    return line
